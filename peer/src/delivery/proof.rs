//! Compares what a location sends with what is held here.
//!
//! **Invariant:** `true` only if every compared byte was the same, or the whole body has the digest. A registry that
//! does not answer, or refuses, is an error and never `false`.

use std::ops::Range;

use futures_util::{StreamExt as _, TryStreamExt as _};
use oci::{BlobPart, DigestHasher, Registry, RegistryError, TagOrDigest};
use store::Sealed;
use wire::ObjectKind;

use super::NotDelivered;
use crate::fetch::FetchSpec;

pub(super) async fn is_delivered(
    registry: &Registry,
    held: &Sealed,
    wanted: &FetchSpec,
    ranges: &[Range<u64>],
) -> Result<bool, NotDelivered> {
    if wanted.kind == ObjectKind::Manifest {
        return has_manifest(registry, held, wanted).await;
    }
    for range in ranges {
        match compare(registry, held, wanted, range).await? {
            Compared::Same => {}
            Compared::Different => return Ok(false),
            Compared::NoRanges => return has_whole(registry, held, wanted).await,
        }
    }
    Ok(true)
}

enum Compared {
    Same,
    Different,
    /// The registry sends whole bodies only.
    NoRanges,
}

/// A manifest is small and read whole: `oci` has checked its digest when it arrives.
async fn has_manifest(registry: &Registry, held: &Sealed, wanted: &FetchSpec) -> Result<bool, NotDelivered> {
    let digest = TagOrDigest::Digest(held.digest.clone());
    let read = registry.manifest(&wanted.location.repository, &digest, &wanted.credential);
    match read.await {
        Ok(_) => Ok(true),
        Err(error) => not_the_object(error),
    }
}

async fn compare(
    registry: &Registry,
    held: &Sealed,
    wanted: &FetchSpec,
    range: &Range<u64>,
) -> Result<Compared, NotDelivered> {
    let part = BlobPart {
        from: range.start,
        until: Some(range.end),
    };
    let repository = &wanted.location.repository;
    let opened = registry.blob_part(repository, &held.digest, part, &wanted.credential);
    let sent = match opened.await {
        Ok(sent) => sent,
        Err(error) => return not_the_object(error).map(|_| Compared::Different),
    };
    if !sent.is_part && range.end - range.start < held.size {
        return Ok(Compared::NoRanges);
    }
    if sent.total.is_some_and(|total| total != held.size) {
        return Ok(Compared::Different);
    }
    let ours = held.read(range.clone()).await.map_err(|error| disk(&error))?;
    let ours: Vec<_> = ours.try_collect().await.map_err(|error| disk(&error))?;
    let theirs: Vec<_> = match sent.stream.try_collect().await {
        Ok(theirs) => theirs,
        Err(error) => return not_the_object(error).map(|_| Compared::Different),
    };
    let is_same = ours.concat() == theirs.concat();
    Ok(if is_same {
        Compared::Same
    } else {
        Compared::Different
    })
}

async fn has_whole(registry: &Registry, held: &Sealed, wanted: &FetchSpec) -> Result<bool, NotDelivered> {
    let repository = &wanted.location.repository;
    let opened = registry.blob(repository, &held.digest, 0, &wanted.credential);
    let mut body = match opened.await {
        Ok(sent) => sent.stream,
        Err(error) => return not_the_object(error),
    };
    let (mut hash, mut length) = (DigestHasher::default(), 0_u64);
    while let Some(piece) = body.next().await {
        let piece = match piece {
            Ok(piece) => piece,
            Err(error) => return not_the_object(error),
        };
        length += piece.len() as u64;
        if length > held.size {
            return Ok(false);
        }
        hash.update(&piece);
    }
    Ok(hash.finish() == held.digest)
}

/// Bytes that are not the object's are an answer; everything else stays the registry's error.
fn not_the_object(error: RegistryError) -> Result<bool, NotDelivered> {
    match error {
        RegistryError::WrongBytes { .. } | RegistryError::BadAnswer { .. } => Ok(false),
        other => Err(other.into()),
    }
}

fn disk(error: &std::io::Error) -> NotDelivered {
    NotDelivered::Disk(error.to_string())
}
