//! `GET` and `HEAD /v2/<repository>/blobs/<digest>`, whole or ranges of it.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use http::header::RANGE;
use http::{HeaderMap, StatusCode};
use oci::Digest;
use tokio::time::timeout;
use wire::ObjectKind;

use super::objects::{begun, disk_refused};
use super::outcome::{ObjectSource, PullOutcome};
use super::range::RequestedPart;
use super::respond::{ObjectHead, asks_for_the_rest, is_unchanged, unchanged, wanted_part};
use super::state::Front;
use crate::access::{Caller, ObjectInfo, Refusal};
use crate::config::UnprovenRanges;
use crate::fetch::{Extent, ReadableObject};

const BLOB_TYPE: &str = "application/octet-stream";

impl Front {
    pub(crate) async fn blobs(
        &self,
        caller: &Caller,
        digest: &Digest,
        headers: &HeaderMap,
        head_only: bool,
        outcome: &mut PullOutcome,
    ) -> Result<Response, Refusal> {
        outcome.target.digest = Some(digest.clone());
        let grant = self.access.may_read(caller, digest, ObjectKind::Blob).await?;
        outcome.access = grant.basis.word();
        if is_unchanged(headers, digest) {
            return Ok(unchanged(digest));
        }
        if head_only && let Some(size) = self.size_without_bytes(caller, digest, grant.info.as_ref(), outcome)
        {
            return Ok(head(digest, size).whole(Body::empty()));
        }
        let extent = self.extent_of(headers, head_only);
        let object = self
            .object(caller, digest, ObjectKind::Blob, grant.info.as_ref(), extent)
            .await?;
        outcome.source = Some(ObjectSource::of(&object));
        let head = head(digest, object.size());
        if head_only {
            return Ok(head.whole(Body::empty()));
        }
        let part = wanted_part(headers, digest, object.size());
        let object = self.held_back(object, &part, headers).await?;
        match part {
            RequestedPart::None => Ok(head.nothing()),
            RequestedPart::Whole => {
                let pieces = object
                    .read(0..object.size())
                    .await
                    .map_err(|error| disk_refused(&error))?;
                let pieces = begun(&object, pieces).await?;
                Ok(head.whole(outcome.body(StatusCode::OK, pieces, object.size())))
            }
            RequestedPart::Some(range) => {
                let pieces = object
                    .read(range.clone())
                    .await
                    .map_err(|error| disk_refused(&error))?;
                let pieces = begun(&object, pieces).await?;
                let length = range.end.saturating_sub(range.start);
                let body = outcome.body(StatusCode::PARTIAL_CONTENT, pieces, length);
                Ok(head.part(&range, body))
            }
            RequestedPart::Many(ranges) => {
                let parts = head.many(ranges);
                let object = Arc::new(object);
                let pieces = parts.clone().body(move |range| {
                    let object = object.clone();
                    async move { object.read(range).await }
                });
                let body = outcome.body(StatusCode::PARTIAL_CONTENT, pieces, parts.length());
                Ok(head.parts(&parts, body))
            }
        }
    }

    /// Returns the object with its last chunk held back until the proof, or proven as a whole first, as this part
    /// requires. So a reader of the whole, or of the rest after a broken transfer, never gets wrong bytes that look
    /// complete.
    async fn held_back(
        &self,
        object: ReadableObject,
        part: &RequestedPart,
        headers: &HeaderMap,
    ) -> Result<ReadableObject, Refusal> {
        if part.is_all_of(object.size()) {
            return Ok(object.held_back());
        }
        if self.ranges.unproven == UnprovenRanges::HeldBack && *part != RequestedPart::None {
            let proving = timeout(self.ranges.proof_limit, object.proven()).await;
            let proven = proving.map_err(|_| Refusal::NotProvenYet)?;
            proven.map_err(|error| Refusal::of_fetch(&error, ObjectKind::Blob))?;
        }
        Ok(if asks_for_the_rest(headers) {
            object.held_back()
        } else {
            object
        })
    }

    /// A reader of a part causes a fetch of that part, and of the rest where that is configured.
    fn extent_of(&self, headers: &HeaderMap, head_only: bool) -> Extent {
        let reads_part = head_only || headers.contains_key(RANGE);
        match (reads_part, self.ranges.prefetch) {
            (false, _) => Extent::Whole,
            (true, false) => Extent::Parts,
            (true, true) => Extent::PartsFirst,
        }
    }

    /// Returns the size for a `HEAD`, if it is known without a fetch.
    fn size_without_bytes(
        &self,
        caller: &Caller,
        digest: &Digest,
        info: Option<&ObjectInfo>,
        outcome: &mut PullOutcome,
    ) -> Option<u64> {
        if let Some(sealed) = self.store.sealed(digest) {
            outcome.source = Some(ObjectSource::Store);
            return Some(sealed.size);
        }
        outcome.source = Some(ObjectSource::Registry);
        info.and_then(|info| info.size)
            .or_else(|| self.access.size_of(caller.location(), digest))
    }
}

fn head(digest: &Digest, size: u64) -> ObjectHead<'_> {
    ObjectHead {
        digest,
        size,
        media_type: BLOB_TYPE,
    }
}
