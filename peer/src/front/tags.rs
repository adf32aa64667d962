//! What a tag means: what the registry says now, or what it said last when it is silent.
//!
//! **Invariant:** a tag is asked for anew each time, and never for longer than the limit. The registry's answer to
//! this caller is at once the yes for the manifest that the tag means.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, StatusCode};
use oci::manifest::BYTES_LIMIT;
use oci::{Digest, QuestionKind, Tag, TagOrDigest};
use tokio::time::{Instant, timeout_at};
use wire::{ObjectKind, TagRecord};

use super::Front;
use super::access::{Answer, Granted, Told, Who};
use super::respond::Refusal;

/// In all, whatever the registry makes of it.
const REVALIDATION_LIMIT: Duration = Duration::from_secs(3);
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

impl Front {
    /// The manifest that the tag means, which this caller may read.
    pub(crate) async fn meaning(
        &self,
        who: &Who,
        tag: &Tag,
        accept: &[String],
    ) -> Result<(Digest, Granted), Refusal> {
        let deadline = Instant::now() + REVALIDATION_LIMIT;
        let Some(answer) = self.revalidate(who, tag, accept, deadline).await else {
            return self.last_known(who, tag).await;
        };
        let (digest, told) = match answer {
            Ok(meaning) => meaning,
            Err(answer) => {
                self.learn_from_tag(who, &answer);
                return Err(self.refusal(who, ObjectKind::Manifest, &answer));
            }
        };
        self.grant(who, &digest, ObjectKind::Manifest);
        if takes_indexes(accept) {
            self.record(who, tag, &digest, &told);
        }
        let because = "registry's yes";
        Ok((
            digest,
            Granted {
                because,
                told: Some(told),
            },
        ))
    }

    async fn last_known(&self, who: &Who, tag: &Tag) -> Result<(Digest, Granted), Refusal> {
        let unknown = || {
            Refusal::silent(format!(
                "{} does not answer, and neither this node nor a seed knows what {}:{tag} meant last",
                who.origin.registry, who.repository
            ))
        };
        let record = self.last_meaning(who, tag).await.ok_or_else(unknown)?;
        let digest: Digest = record.digest.parse().map_err(|_| unknown())?;
        let granted = self.may_read(who, &digest, ObjectKind::Manifest).await?;
        self.store.record_tag(&record);
        Ok((digest, granted))
    }

    /// None when the registry is silent.
    async fn revalidate(
        &self,
        who: &Who,
        tag: &Tag,
        accept: &[String],
        deadline: Instant,
    ) -> Option<Result<(Digest, Told), Answer>> {
        let head = self.ask_about(who, tag, accept, Method::HEAD, deadline).await?;
        let answer = Answer::of(&head);
        match &answer {
            Answer::Yes(headers) => {
                if let Some(digest) = digest_of(headers) {
                    return Some(Ok((digest, Told::from(headers))));
                }
            }
            Answer::No(StatusCode::METHOD_NOT_ALLOWED) => {}
            _ => return Some(Err(answer)),
        }
        // A registry that leaves the digest out, or knows no HEAD: the manifest itself tells.
        let whole = self.ask_about(who, tag, accept, Method::GET, deadline).await?;
        let answer = Answer::of(&whole);
        let Answer::Yes(headers) = &answer else {
            return Some(Err(answer));
        };
        let bytes = timeout_at(deadline, gather(whole)).await.ok()??;
        let told = Told {
            size: Some(bytes.len() as u64),
            ..Told::from(headers)
        };
        Some(Ok((Digest::of(&bytes), told)))
    }

    async fn ask_about(
        &self,
        who: &Who,
        tag: &Tag,
        accept: &[String],
        method: Method,
        deadline: Instant,
    ) -> Option<reqwest::Response> {
        let kind = QuestionKind::Manifest {
            wanted: TagOrDigest::Tag(tag.clone()),
        };
        let left = deadline.saturating_duration_since(Instant::now());
        self.ask_raw(who, who.question(method, kind, accept.to_vec(), left))
            .await
    }

    fn record(&self, who: &Who, tag: &Tag, digest: &Digest, told: &Told) {
        self.store.record_tag(&TagRecord {
            registry: who.origin.registry.to_string(),
            repository: who.repository.to_string(),
            tag: tag.to_string(),
            digest: digest.to_string(),
            media_type: told.media_type.clone().unwrap_or_default(),
            seen_unix_ms: (self.now)(),
        });
    }
}

/// Some registries choose an image of an index for clients that take no index: what they answer is not what the
/// tag means to others.
fn takes_indexes(accept: &[String]) -> bool {
    let names = |media_type: &str| accept.iter().any(|value| value.contains(media_type));
    accept.is_empty() || (names(OCI_INDEX) && names(DOCKER_LIST))
}

fn digest_of(headers: &HeaderMap) -> Option<Digest> {
    headers
        .get("docker-content-digest")
        .map(HeaderValue::to_str)?
        .ok()?
        .parse()
        .ok()
}

/// A manifest's bytes, unless they are too many or break off.
async fn gather(mut response: reqwest::Response) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(piece) = response.chunk().await.ok()? {
        bytes.extend_from_slice(&piece);
        if bytes.len() > BYTES_LIMIT {
            return None;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_old_client_is_told_is_not_what_the_tag_means() {
        let accepts = |values: &[&str]| values.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert!(takes_indexes(&[]));
        assert!(takes_indexes(&accepts(&[&format!(
            "{DOCKER_LIST}, {OCI_INDEX}, */*"
        )])));
        assert!(takes_indexes(&accepts(&[DOCKER_LIST, OCI_INDEX])));
        assert!(!takes_indexes(&accepts(&[
            "application/vnd.docker.distribution.manifest.v2+json"
        ])));
    }
}
