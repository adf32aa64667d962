//! `GET` and `HEAD /v2/<repository>/manifests/<tag or digest>`.

use std::ops::Range;

use axum::body::{Body, Bytes};
use axum::response::Response;
use http::header::{ACCEPT, WARNING};
use http::{HeaderMap, HeaderValue, StatusCode};
use oci::{Digest, TagOrDigest};
use wire::ObjectKind;

use super::outcome::{ObjectSource, PullOutcome};
use super::range::RequestedPart;
use super::respond::{ObjectHead, is_unchanged, unchanged, wanted_part};
use super::state::Front;
use crate::access::{Caller, Grant, GrantedManifest, ObjectInfo, Refusal};
use crate::fetch::Extent;

const OCI_IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";

/// Marks a tag's last meaning (RFC 7234, 5.5.1).
const STALE: HeaderValue = HeaderValue::from_static(
    "110 - \"the registry gave no answer; this is the last known meaning of the tag\"",
);

impl Front {
    pub(crate) async fn manifests(
        &self,
        caller: &Caller,
        wanted: &TagOrDigest,
        headers: &HeaderMap,
        head_only: bool,
        outcome: &mut PullOutcome,
    ) -> Result<Response, Refusal> {
        let granted = self
            .granted_manifest(caller, wanted, headers, head_only, outcome)
            .await?;
        let is_stale = granted.is_stale;
        let mut response = self
            .manifest_response(caller, (wanted, granted), headers, head_only, outcome)
            .await?;
        if is_stale {
            response.headers_mut().insert(WARNING, STALE);
        }
        Ok(response)
    }

    async fn granted_manifest(
        &self,
        caller: &Caller,
        wanted: &TagOrDigest,
        headers: &HeaderMap,
        head_only: bool,
        outcome: &mut PullOutcome,
    ) -> Result<GrantedManifest, Refusal> {
        match wanted {
            TagOrDigest::Digest(digest) => {
                outcome.target.digest = Some(digest.clone());
                self.access.manifest_by_digest(caller, digest, head_only).await
            }
            TagOrDigest::Tag(tag) => {
                self.access
                    .meaning(caller, tag, &accept(headers), head_only)
                    .await
            }
        }
    }

    async fn manifest_response(
        &self,
        caller: &Caller,
        (wanted, granted): (&TagOrDigest, GrantedManifest),
        headers: &HeaderMap,
        head_only: bool,
        outcome: &mut PullOutcome,
    ) -> Result<Response, Refusal> {
        let GrantedManifest {
            digest, grant, bytes, ..
        } = granted;
        outcome.target.digest = Some(digest.clone());
        self.unless_blocked_digest(&digest)?;
        outcome.access = grant.basis.word();
        if is_unchanged(headers, &digest) {
            return Ok(unchanged(&digest));
        }
        if head_only && let Some(answer) = self.head_from_info(&digest, &grant, outcome) {
            return Ok(answer);
        }
        let bytes = match bytes {
            Some(bytes) => self.keep_sent(caller, &digest, &grant, bytes, outcome),
            None => match self.fetch_bytes(caller, &digest, &grant, outcome).await {
                Err(refusal) if refusal.status() == StatusCode::NOT_FOUND => {
                    let sent = self.bytes_of_tag(caller, wanted, headers, &digest).await;
                    self.keep_sent(caller, &digest, &grant, sent.ok_or(refusal)?, outcome)
                }
                fetched => fetched?,
            },
        };
        let media_type = self.media_type(&digest, grant.info.as_ref(), &bytes);
        let location = caller.location();
        self.access.read_listing(location, &digest, &bytes, &media_type);
        let head = ObjectHead {
            digest: &digest,
            size: bytes.len() as u64,
            media_type: &media_type,
        };
        if head_only {
            return Ok(head.whole(Body::empty()));
        }
        Ok(manifest_part(&head, &bytes, headers, outcome))
    }

    /// Reads a manifest under its tag, because some registries do not have it under its digest.
    async fn bytes_of_tag(
        &self,
        caller: &Caller,
        wanted: &TagOrDigest,
        headers: &HeaderMap,
        digest: &Digest,
    ) -> Option<Bytes> {
        let accept = accept(headers);
        self.access
            .bytes_of_tag(caller, wanted.tag()?, accept, digest)
            .await
    }

    async fn fetch_bytes(
        &self,
        caller: &Caller,
        digest: &Digest,
        grant: &Grant,
        outcome: &mut PullOutcome,
    ) -> Result<Bytes, Refusal> {
        let object = self
            .object(
                caller,
                digest,
                ObjectKind::Manifest,
                grant.info.as_ref(),
                Extent::Whole,
            )
            .await?;
        outcome.source = Some(ObjectSource::of(&object));
        self.manifest(&object).await
    }

    /// Returns the bytes that the registry has just sent, and keeps them for when it is unreachable.
    fn keep_sent(
        &self,
        caller: &Caller,
        digest: &Digest,
        grant: &Grant,
        bytes: Bytes,
        outcome: &mut PullOutcome,
    ) -> Bytes {
        if self.store.sealed(digest).is_some() {
            outcome.source = Some(ObjectSource::Store);
            return bytes;
        }
        outcome.source = Some(ObjectSource::Registry);
        let wanted = self.wanted(caller, digest, ObjectKind::Manifest, grant.info.as_ref());
        self.fetches.keep(wanted, bytes.clone());
        self.store.record_delivered(digest, caller.location());
        bytes
    }

    /// Returns the headers of a manifest that is not held, if the registry has just sent all of them.
    fn head_from_info(&self, digest: &Digest, grant: &Grant, outcome: &mut PullOutcome) -> Option<Response> {
        let info = grant.info.as_ref()?;
        if self.store.about(digest).is_some() {
            return None;
        }
        outcome.source = Some(ObjectSource::Registry);
        let head = ObjectHead {
            digest,
            size: info.size?,
            media_type: info.media_type.as_deref()?,
        };
        Some(head.whole(Body::empty()))
    }

    fn media_type(&self, digest: &Digest, info: Option<&ObjectInfo>, bytes: &Bytes) -> String {
        self.store
            .about(digest)
            .and_then(|about| about.media_type)
            .filter(|media_type| !media_type.is_empty())
            .or_else(|| info.and_then(|info| info.media_type.clone()))
            .unwrap_or_else(|| media_type_inside(bytes))
    }
}

/// Returns the manifest, or the part of it that is asked for.
fn manifest_part(
    head: &ObjectHead<'_>,
    bytes: &Bytes,
    headers: &HeaderMap,
    outcome: &mut PullOutcome,
) -> Response {
    let slice = |range: &Range<u64>| {
        let within = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
        bytes.slice(within(range.start)..within(range.end))
    };
    match wanted_part(headers, head.digest, head.size) {
        RequestedPart::None => head.nothing(),
        RequestedPart::Whole => {
            outcome.count_sent(head.size);
            head.whole(Body::from(bytes.clone()))
        }
        RequestedPart::Some(range) => {
            outcome.count_sent(range.end.saturating_sub(range.start));
            head.part(&range, Body::from(slice(&range)))
        }
        RequestedPart::Many(ranges) => {
            let parts = head.many(ranges);
            outcome.count_sent(parts.length());
            head.parts(&parts, Body::from(parts.body_of(slice)))
        }
    }
}

fn accept(headers: &HeaderMap) -> Vec<String> {
    headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .map(str::to_owned)
        .collect()
}

/// Returns the type that the manifest names, or that its fields show.
fn media_type_inside(bytes: &[u8]) -> String {
    oci::manifest::media_type_inside(bytes).unwrap_or_else(|_| OCI_IMAGE.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

    #[test]
    fn the_media_type_is_read_from_the_manifest() {
        assert_eq!(media_type_inside(br#"{"mediaType":"x/y","layers":[]}"#), "x/y");
        assert_eq!(media_type_inside(br#"{"manifests":[]}"#), OCI_INDEX);
        assert_eq!(media_type_inside(br#"{"layers":[]}"#), OCI_IMAGE);
    }
}
