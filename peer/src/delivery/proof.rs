//! Compares the bytes that a location sends with the object held here.
//!
//! **Invariant:** `true` only if every compared byte was equal, or the whole body has the digest. A registry that does
//! not answer, or refuses, is an error and never `false`.

use std::ops::Range;

use futures_util::{StreamExt as _, TryStreamExt as _};
use oci::{BlobPart, Registry, RegistryError, TagOrDigest};
use store::Sealed;
use wire::ObjectKind;

use super::error::DeliveryError;
use crate::fetch::FetchSpec;

pub(super) async fn is_delivered(
    registry: &Registry,
    held: &Sealed,
    wanted: &FetchSpec,
    ranges: &[Range<u64>],
) -> Result<bool, DeliveryError> {
    if wanted.kind == ObjectKind::Manifest {
        return has_manifest(registry, held, wanted).await;
    }
    for range in ranges {
        match compare(registry, held, wanted, range).await? {
            RangeComparison::Same => {}
            RangeComparison::Different => return Ok(false),
            RangeComparison::NoRanges => return has_whole(registry, held, wanted).await,
        }
    }
    Ok(true)
}

enum RangeComparison {
    Same,
    Different,
    /// The registry sends whole bodies only.
    NoRanges,
}

/// Reads the whole manifest; `oci` checks its digest.
async fn has_manifest(registry: &Registry, held: &Sealed, wanted: &FetchSpec) -> Result<bool, DeliveryError> {
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
) -> Result<RangeComparison, DeliveryError> {
    let part = BlobPart {
        from: range.start,
        until: Some(range.end),
    };
    let repository = &wanted.location.repository;
    let opened = registry.blob_part(repository, &held.digest, part, &wanted.credential);
    let sent = match opened.await {
        Ok(sent) => sent,
        Err(error) => return not_the_object(error).map(|_| RangeComparison::Different),
    };
    if !sent.is_part && range.end - range.start < held.size {
        return Ok(RangeComparison::NoRanges);
    }
    if sent.total.is_some_and(|total| total != held.size) {
        return Ok(RangeComparison::Different);
    }
    let ours = held.read(range.clone()).await.map_err(|error| disk(&error))?;
    let ours: Vec<_> = ours.try_collect().await.map_err(|error| disk(&error))?;
    let theirs: Vec<_> = match sent.stream.try_collect().await {
        Ok(theirs) => theirs,
        Err(error) => return not_the_object(error).map(|_| RangeComparison::Different),
    };
    let is_same = ours.concat() == theirs.concat();
    Ok(if is_same {
        RangeComparison::Same
    } else {
        RangeComparison::Different
    })
}

async fn has_whole(registry: &Registry, held: &Sealed, wanted: &FetchSpec) -> Result<bool, DeliveryError> {
    let repository = &wanted.location.repository;
    let opened = registry.blob(repository, &held.digest, 0, &wanted.credential);
    let mut body = match opened.await {
        Ok(sent) => sent.stream,
        Err(error) => return not_the_object(error),
    };
    let (mut hash, mut length) = (held.digest.hasher(), 0_u64);
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

/// Returns `false` for bytes that are not the object's; other errors stay the registry's.
fn not_the_object(error: RegistryError) -> Result<bool, DeliveryError> {
    match error {
        RegistryError::WrongBytes { .. } | RegistryError::BadAnswer { .. } => Ok(false),
        other => Err(other.into()),
    }
}

fn disk(error: &std::io::Error) -> DeliveryError {
    DeliveryError::Disk(error.to_string())
}
