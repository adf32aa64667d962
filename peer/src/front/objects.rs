//! Opens an object for a caller who may read it: from the store, or by following its fetch.

use std::time::Duration;

use axum::body::Bytes;
use futures_util::stream::{self, StreamExt as _};
use oci::manifest::BYTES_LIMIT;
use oci::{Credential, Digest};
use tokio::time::timeout;
use wire::{ObjectKind, Side, TraceContext};

use super::state::Front;
use crate::access::{Caller, ObjectInfo, Refusal};
use crate::fetch::{Extent, FetchSpec, ObjectStream, ReadableObject};
use crate::limits::Class;

/// For the first bytes after a source has answered. Runtimes wait 30 s or longer for a response.
const FIRST_BYTES_LIMIT: Duration = Duration::from_secs(25);

impl Front {
    /// Returns the object once it is available and its size is known.
    pub(crate) async fn object(
        &self,
        caller: &Caller,
        digest: &Digest,
        kind: ObjectKind,
        info: Option<&ObjectInfo>,
        extent: Extent,
    ) -> Result<ReadableObject, Refusal> {
        let wanted = FetchSpec {
            extent,
            ..self.wanted(caller, digest, kind, info)
        };
        match self.delivery.open(&self.fetches, wanted).await {
            Ok((object, _)) => Ok(object),
            Err(not_opened) => Err(Refusal::of_opening(&not_opened, kind)),
        }
    }

    /// Returns a manifest's proven bytes.
    pub(crate) async fn manifest(&self, object: &ReadableObject) -> Result<Bytes, Refusal> {
        let too_large = || {
            let text = format!(
                "the manifest is too large ({} bytes): at most {BYTES_LIMIT} are allowed",
                object.size()
            );
            Refusal::bad_gateway(Side::Registry, "MANIFEST_INVALID", text)
        };
        let size = usize::try_from(object.size())
            .ok()
            .filter(|size| *size <= BYTES_LIMIT);
        let size = size.ok_or_else(too_large)?;
        let mut pieces = object
            .read(0..object.size())
            .await
            .map_err(|error| disk_refused(&error))?;
        let mut bytes = Vec::with_capacity(size);
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|error| read_refused(&error, ObjectKind::Manifest))?;
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes.into())
    }

    pub(super) fn wanted(
        &self,
        caller: &Caller,
        digest: &Digest,
        kind: ObjectKind,
        info: Option<&ObjectInfo>,
    ) -> FetchSpec {
        let parents = self.neighbours.seeds_in_order(digest);
        FetchSpec {
            digest: digest.clone(),
            kind,
            // The source that is read says it, not a caller or a registry's headers.
            size: None,
            size_hint: info
                .and_then(|info| info.size)
                .or_else(|| self.access.size_of(caller.location(), digest)),
            media_type: info
                .and_then(|info| info.media_type.clone())
                .filter(|_| kind == ObjectKind::Manifest),
            location: caller.location().clone(),
            credential: self.credential(caller),
            parents: parents.into_iter().map(|seed| seed.share_url).collect(),
            relays: self.neighbours.relays(digest),
            registry_allowed: true,
            extent: Extent::Whole,
            class: Class::Interactive,
            trace: TraceContext::current(),
        }
    }

    /// Returns the caller's credential, else the one configured on this node, if the location's scheme is as safe as the
    /// configured one. Access was decided before.
    fn credential(&self, caller: &Caller) -> Credential {
        if let Some(authorization) = &caller.authorization {
            return Credential::Header(authorization.clone());
        }
        let registries = self.neighbours.registries();
        registries
            .configured_credential(caller.location())
            .unwrap_or_default()
    }
}

/// Returns the stream once its first bytes are there, so that a source without bytes leads to a status, and the runtime
/// asks elsewhere. A fetch that has other bytes is waited for.
pub(super) async fn begun(
    object: &ReadableObject,
    mut pieces: ObjectStream,
) -> Result<ObjectStream, Refusal> {
    let ReadableObject::Fetching(following, _) = object else {
        return Ok(pieces);
    };
    match timeout(FIRST_BYTES_LIMIT, pieces.next()).await {
        Ok(Some(Ok(first))) => Ok(Box::pin(stream::iter([Ok(first)]).chain(pieces))),
        Ok(Some(Err(error))) => Err(read_refused(&error, ObjectKind::Blob)),
        Ok(None) => Ok(pieces),
        Err(_) if following.progress() > 0 => Ok(pieces),
        Err(_) => Err(Refusal::unreachable(format!(
            "no byte of the blob came in {} s: pull again, or check the registry's storage",
            FIRST_BYTES_LIMIT.as_secs()
        ))),
    }
}

/// A read failed before its first byte was sent.
fn read_refused(error: &std::io::Error, kind: ObjectKind) -> Refusal {
    match error.get_ref().and_then(|error| error.downcast_ref()) {
        Some(error) => Refusal::of_fetch(error, kind),
        None => Refusal::unavailable(error.to_string()),
    }
}

/// The store holds the object, and the disk fails to read it.
pub(super) fn disk_refused(error: &std::io::Error) -> Refusal {
    Refusal::unavailable(format!(
        "the disk of this peer failed to read the object: {error}"
    ))
}
