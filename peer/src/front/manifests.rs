//! `GET` and `HEAD /v2/<repository>/manifests/<tag or digest>`.

use std::ops::Range;

use axum::body::{Body, Bytes};
use axum::response::Response;
use http::header::{ACCEPT, WARNING};
use http::{HeaderMap, HeaderValue};
use oci::{Digest, TagOrDigest};
use wire::ObjectKind;

use super::Front;
use super::outcome::{Outcome, Source};
use super::range::Part;
use super::respond::{Head, is_unchanged, unchanged, wanted_part};
use crate::access::{Caller, Grant, GrantedManifest, ObjectInfo, Refusal};
use crate::fetch::Extent;

const OCI_IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";

/// On a tag's last meaning (RFC 7234, 5.5.1): the registry did not say what the tag means now.
const STALE: HeaderValue =
    HeaderValue::from_static("110 - \"the registry gave no answer; this is what the tag meant last\"");

impl Front {
    pub(crate) async fn manifests(
        &self,
        caller: &Caller,
        wanted: &TagOrDigest,
        headers: &HeaderMap,
        head_only: bool,
        outcome: &mut Outcome,
    ) -> Result<Response, Refusal> {
        let meant = self.meant(caller, wanted, headers, head_only, outcome).await?;
        let is_stale = meant.is_stale;
        let mut response = self
            .manifest_meant(caller, meant, headers, head_only, outcome)
            .await?;
        if is_stale {
            response.headers_mut().insert(WARNING, STALE);
        }
        Ok(response)
    }

    async fn meant(
        &self,
        caller: &Caller,
        wanted: &TagOrDigest,
        headers: &HeaderMap,
        head_only: bool,
        outcome: &mut Outcome,
    ) -> Result<GrantedManifest, Refusal> {
        match wanted {
            TagOrDigest::Digest(digest) => {
                outcome.asked.digest = Some(digest.clone());
                self.access.manifest_by_digest(caller, digest, head_only).await
            }
            TagOrDigest::Tag(tag) => {
                self.access
                    .meaning(caller, tag, &accept(headers), head_only)
                    .await
            }
        }
    }

    async fn manifest_meant(
        &self,
        caller: &Caller,
        meant: GrantedManifest,
        headers: &HeaderMap,
        head_only: bool,
        outcome: &mut Outcome,
    ) -> Result<Response, Refusal> {
        let GrantedManifest {
            digest, grant, bytes, ..
        } = meant;
        outcome.asked.digest = Some(digest.clone());
        self.unless_blocked_digest(&digest)?;
        outcome.access = grant.basis.word();
        if is_unchanged(headers, &digest) {
            return Ok(unchanged(&digest));
        }
        if head_only && let Some(answer) = self.head_alone(&digest, &grant, outcome) {
            return Ok(answer);
        }
        let bytes = match bytes {
            Some(bytes) => self.just_sent(caller, &digest, &grant, bytes, outcome),
            None => self.gathered(caller, &digest, &grant, outcome).await?,
        };
        let media_type = self.media_type(&digest, grant.info.as_ref(), &bytes);
        let location = caller.location();
        self.access.read_listing(location, &digest, &bytes, &media_type);
        let head = Head {
            digest: &digest,
            size: bytes.len() as u64,
            media_type: &media_type,
        };
        if head_only {
            return Ok(head.whole(Body::empty()));
        }
        Ok(sent(&head, &bytes, headers, outcome))
    }

    async fn gathered(
        &self,
        caller: &Caller,
        digest: &Digest,
        grant: &Grant,
        outcome: &mut Outcome,
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
        outcome.source = Some(Source::of(&object));
        self.manifest(&object).await
    }

    /// The registry's own bytes; kept for when it is unreachable.
    fn just_sent(
        &self,
        caller: &Caller,
        digest: &Digest,
        grant: &Grant,
        bytes: Bytes,
        outcome: &mut Outcome,
    ) -> Bytes {
        if self.store.sealed(digest).is_some() {
            outcome.source = Some(Source::Store);
            return bytes;
        }
        outcome.source = Some(Source::Registry);
        let wanted = self.wanted(caller, digest, ObjectKind::Manifest, grant.info.as_ref());
        self.fetches.keep(wanted, bytes.clone());
        self.store.record_delivered(digest, caller.location());
        bytes
    }

    /// The headers of a manifest that is not here, when the registry has just told all of them.
    fn head_alone(&self, digest: &Digest, grant: &Grant, outcome: &mut Outcome) -> Option<Response> {
        let info = grant.info.as_ref()?;
        if self.store.about(digest).is_some() {
            return None;
        }
        outcome.source = Some(Source::Registry);
        let head = Head {
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

/// The manifest, or what of it is asked for.
fn sent(head: &Head<'_>, bytes: &Bytes, headers: &HeaderMap, outcome: &mut Outcome) -> Response {
    let slice = |range: &Range<u64>| {
        let within = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
        bytes.slice(within(range.start)..within(range.end))
    };
    match wanted_part(headers, head.digest, head.size) {
        Part::None => head.nothing(),
        Part::Whole => {
            outcome.sends(head.size);
            head.whole(Body::from(bytes.clone()))
        }
        Part::Some(range) => {
            outcome.sends(range.end.saturating_sub(range.start));
            head.part(&range, Body::from(slice(&range)))
        }
        Part::Many(ranges) => {
            let parts = head.many(ranges);
            outcome.sends(parts.length());
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

/// OCI manifests may leave their type out; their shape tells then.
fn media_type_inside(bytes: &[u8]) -> String {
    oci::manifest::media_type_inside(bytes).unwrap_or_else(|_| OCI_IMAGE.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

    #[test]
    fn a_manifest_tells_its_type() {
        assert_eq!(media_type_inside(br#"{"mediaType":"x/y","layers":[]}"#), "x/y");
        assert_eq!(media_type_inside(br#"{"manifests":[]}"#), OCI_INDEX);
        assert_eq!(media_type_inside(br#"{"layers":[]}"#), OCI_IMAGE);
    }
}
