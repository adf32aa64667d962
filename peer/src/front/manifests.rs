//! `GET` and `HEAD /v2/<repository>/manifests/<tag or digest>`.

use axum::body::{Body, Bytes};
use http::HeaderMap;
use http::header::ACCEPT;
use oci::{Digest, TagOrDigest};
use serde::Deserialize;
use wire::ObjectKind;

use super::Front;
use super::access::{Granted, Told, Who};
use super::authorize::Meant;
use super::respond::{Head, Refusal};
use super::told::{Outcome, Source};

const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const OCI_IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";

impl Front {
    pub(crate) async fn manifests(
        &self,
        who: &Who,
        wanted: &TagOrDigest,
        headers: &HeaderMap,
        head_only: bool,
        outcome: &mut Outcome,
    ) -> Result<axum::response::Response, Refusal> {
        let meant = match wanted {
            TagOrDigest::Digest(digest) => {
                outcome.asked.digest = Some(digest.clone());
                self.manifest_by_digest(who, digest, head_only).await?
            }
            TagOrDigest::Tag(tag) => self.meaning(who, tag, &accept(headers), head_only).await?,
        };
        let Meant {
            digest,
            granted,
            bytes,
        } = meant;
        outcome.asked.digest = Some(digest.clone());
        outcome.access = granted.because;
        if head_only && let Some(answer) = self.head_alone(&digest, &granted, outcome) {
            return Ok(answer);
        }
        let bytes = match bytes {
            Some(bytes) => self.just_sent(who, &digest, &granted, bytes, outcome),
            None => self.gathered(who, &digest, &granted, outcome).await?,
        };
        let media_type = self.media_type(&digest, granted.told.as_ref(), &bytes);
        self.listings.learn(&digest, &bytes, &media_type);
        let head = Head {
            digest: &digest,
            size: bytes.len() as u64,
            media_type: &media_type,
        };
        if head_only {
            return Ok(head.whole(Body::empty()));
        }
        outcome.sends(head.size);
        Ok(head.whole(Body::from(bytes)))
    }

    async fn gathered(
        &self,
        who: &Who,
        digest: &Digest,
        granted: &Granted,
        outcome: &mut Outcome,
    ) -> Result<Bytes, Refusal> {
        let object = self
            .object(who, digest, ObjectKind::Manifest, granted.told.as_ref())
            .await?;
        outcome.source = Some(object.source());
        self.manifest(&object).await
    }

    /// The registry's own bytes; kept for when it is silent.
    fn just_sent(
        &self,
        who: &Who,
        digest: &Digest,
        granted: &Granted,
        bytes: Bytes,
        outcome: &mut Outcome,
    ) -> Bytes {
        if self.store.sealed(digest).is_some() {
            outcome.source = Some(Source::Store);
            return bytes;
        }
        outcome.source = Some(Source::Registry);
        let wanted = self.wanted(who, digest, ObjectKind::Manifest, granted.told.as_ref());
        self.fetches.keep(wanted, bytes.clone());
        let (registry, repository) = (who.origin.registry.as_str(), who.repository.as_str());
        self.store.record_origin(digest, registry, repository, false);
        bytes
    }

    /// The headers of a manifest that is not here, when the registry has just told all of them.
    fn head_alone(
        &self,
        digest: &Digest,
        granted: &Granted,
        outcome: &mut Outcome,
    ) -> Option<axum::response::Response> {
        let told = granted.told.as_ref()?;
        if self.store.about(digest).is_some() {
            return None;
        }
        outcome.source = Some(Source::Registry);
        let head = Head {
            digest,
            size: told.size?,
            media_type: told.media_type.as_deref()?,
        };
        Some(head.whole(Body::empty()))
    }

    fn media_type(&self, digest: &Digest, told: Option<&Told>, bytes: &Bytes) -> String {
        self.store
            .about(digest)
            .and_then(|about| about.media_type)
            .filter(|media_type| !media_type.is_empty())
            .or_else(|| told.and_then(|told| told.media_type.clone()))
            .unwrap_or_else(|| media_type_inside(bytes))
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

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outline {
    media_type: Option<String>,
    manifests: Option<serde::de::IgnoredAny>,
}

/// OCI manifests may leave their type out; their shape tells then.
fn media_type_inside(bytes: &[u8]) -> String {
    match serde_json::from_slice::<Outline>(bytes) {
        Ok(Outline {
            media_type: Some(media_type),
            ..
        }) => media_type,
        Ok(Outline {
            manifests: Some(_), ..
        }) => OCI_INDEX.to_owned(),
        _ => OCI_IMAGE.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_tells_its_type() {
        assert_eq!(media_type_inside(br#"{"mediaType":"x/y","layers":[]}"#), "x/y");
        assert_eq!(media_type_inside(br#"{"manifests":[]}"#), OCI_INDEX);
        assert_eq!(media_type_inside(br#"{"layers":[]}"#), OCI_IMAGE);
    }
}
