//! What a tag means: what the registry says now, or what it said last when it is silent.
//!
//! **Invariant:** a tag is asked for anew each time, and never for longer than the limit. The registry's answer to
//! this caller is at once the yes for the manifest that the tag means.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use oci::{Digest, QuestionKind, Tag, TagOrDigest};
use tokio::time::{Instant, timeout_at};
use wire::{ObjectKind, TagRecord};

use super::authorize::{Meant, gather};
use super::refusal::Refusal;
use super::{Access, Answer, Granted, Told, Who};

/// What a tag means, what was told of it, and its bytes if the registry sent them.
type Meaning = (Digest, Told, Option<Bytes>);

/// In all, whatever the registry makes of it.
const REVALIDATION_LIMIT: Duration = Duration::from_secs(3);
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

impl Access {
    /// The manifest that the tag means, which this caller may read.
    pub(crate) async fn meaning(
        &self,
        who: &Who,
        tag: &Tag,
        accept: &[String],
        head_only: bool,
    ) -> Result<Meant, Refusal> {
        let deadline = Instant::now() + REVALIDATION_LIMIT;
        let by_get = !head_only && self.asks_for_each(who);
        let Some(answer) = self.revalidate(who, tag, accept, by_get, deadline).await else {
            return self.last_known(who, tag, head_only).await;
        };
        let (digest, told, bytes) = match answer {
            Ok(meaning) => meaning,
            Err(answer) => {
                self.learn_from_tag(who, tag, &answer).await;
                return Err(self.refusal(who, ObjectKind::Manifest, &answer));
            }
        };
        if by_get {
            self.given_out(who, &digest);
        } else {
            self.grant(who, &digest, ObjectKind::Manifest);
        }
        if takes_indexes(accept) {
            self.record(who, tag, &digest, &told);
        }
        let granted = Granted {
            because: "registry's yes",
            told: Some(told),
        };
        Ok(Meant {
            digest,
            granted,
            bytes: bytes.filter(|_| by_get),
        })
    }

    /// What this node last heard that the tag means.
    pub(super) fn meant_last(&self, who: &Who, tag: &Tag) -> Option<Digest> {
        let record = self.store.tag(&who.location().to_string(), tag.as_str())?;
        record.digest.parse().ok()
    }

    async fn last_known(&self, who: &Who, tag: &Tag, head_only: bool) -> Result<Meant, Refusal> {
        let unknown = || {
            Refusal::silent(format!(
                "{} does not answer, and neither this node nor a seed knows what {}:{tag} meant last",
                who.location().registry(),
                who.location().repository
            ))
        };
        let record = self.last_meaning(who, tag).await.ok_or_else(unknown)?;
        let digest: Digest = record.digest.parse().map_err(|_| unknown())?;
        let meant = self.manifest_by_digest(who, &digest, head_only).await?;
        self.store.record_tag(&record);
        Ok(meant)
    }

    /// None when the registry is silent.
    async fn revalidate(
        &self,
        who: &Who,
        tag: &Tag,
        accept: &[String],
        by_get: bool,
        deadline: Instant,
    ) -> Option<Result<Meaning, Answer>> {
        if by_get {
            return self.read_whole(who, tag, accept, deadline).await;
        }
        let head = self.ask_about(who, tag, accept, Method::HEAD, deadline).await?;
        let answer = self.read_answer(who, head).await;
        match &answer {
            Answer::Yes(headers) => {
                if let Some(digest) = digest_of(headers) {
                    return Some(Ok((digest, Told::from(headers), None)));
                }
            }
            Answer::No(StatusCode::METHOD_NOT_ALLOWED) => {}
            _ => return Some(Err(answer)),
        }
        // A registry that leaves the digest out, or knows no HEAD: the manifest itself tells.
        self.read_whole(who, tag, accept, deadline).await
    }

    async fn read_whole(
        &self,
        who: &Who,
        tag: &Tag,
        accept: &[String],
        deadline: Instant,
    ) -> Option<Result<Meaning, Answer>> {
        let whole = self.ask_about(who, tag, accept, Method::GET, deadline).await?;
        if !whole.status().is_success() {
            return Some(Err(self.read_answer(who, whole).await));
        }
        let told = Told::from(whole.headers());
        let bytes = timeout_at(deadline, gather(whole)).await.ok()??;
        let told = Told {
            size: Some(bytes.len() as u64),
            ..told
        };
        Some(Ok((Digest::of(&bytes), told, Some(bytes))))
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
            location: who.location().to_string(),
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
