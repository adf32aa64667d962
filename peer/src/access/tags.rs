//! What a tag means: what the registry says now, or what it said last where it gives no answer.
//!
//! **Invariant:** a tag is asked for anew each time. The registry's answer to this caller is at once the yes for the
//! manifest that the tag means. Its last meaning stands in for an unreachable host, and for a failed or slow question
//! where the caller has a fresh yes or the image is public; it is never given without a `Warning`.

use bytes::Bytes;
use http::{Method, StatusCode};
use oci::{Digest, ForwardedObject, Tag, TagOrDigest};
use tokio::time::{Instant, timeout_at};
use wire::{ObjectKind, TagRecord};

use super::authorize::Meant;
use super::decision::Kept;
use super::failure::Failure;
use super::questions::{LIMIT, Reply, gather, patience};
use super::refusal::Refusal;
use super::tag_questions::{Meaning, TagAnswer, TagQuestion};
use super::{Access, Answer, Granted, Told, Who};

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
        let by_get = !head_only && self.asks_for_each(who);
        let question = self.ask_about_tag(TagQuestion {
            who: who.clone(),
            tag: tag.clone(),
            accept: accept.to_vec(),
            by_get,
            has_something_kept: self.meant_last(who, tag).is_some(),
        });
        let answer = match question.answer_soon().await {
            Some(answer) => answer,
            None => match self.stand_in(who, tag, "kept while the registry is slow").await {
                Some(meant) => {
                    self.stood_in(&question);
                    return Ok(meant);
                }
                None => question.answer().await,
            },
        };
        match answer {
            Ok((digest, told, bytes)) => Ok(Meant {
                digest,
                granted: Granted {
                    because: "registry's yes",
                    told: Some(told),
                },
                bytes: bytes.filter(|_| by_get),
                is_stale: false,
            }),
            Err(Answer::Unreachable) => self.last_known(who, tag, head_only).await,
            Err(answer @ Answer::Failed(_)) => self
                .stand_in(who, tag, "kept while the question fails")
                .await
                .ok_or_else(|| self.refusal(who, ObjectKind::Manifest, &answer)),
            Err(answer) => Err(self.refusal(who, ObjectKind::Manifest, &answer)),
        }
    }

    /// Asks, and keeps what the answer says, whether or not the caller still waits.
    pub(super) async fn find_meaning(&self, question: &TagQuestion) -> TagAnswer {
        let TagQuestion {
            who,
            tag,
            accept,
            by_get,
            ..
        } = question;
        let answer = self.revalidate(question, Instant::now() + LIMIT).await;
        match &answer {
            Ok((digest, told, _)) => {
                if *by_get {
                    self.given_out(who, digest);
                } else {
                    self.grant(who, digest, ObjectKind::Manifest);
                }
                if takes_indexes(accept) {
                    self.record(who, tag, digest, told);
                }
            }
            Err(answer) => self.learn_from_tag(who, tag, answer).await,
        }
        answer
    }

    /// The last meaning, where it may stand in for a question that is slow or failed.
    async fn stand_in(&self, who: &Who, tag: &Tag, because: &'static str) -> Option<Meant> {
        let record = self.last_meaning(who, tag).await?;
        let digest: Digest = record.digest.parse().ok()?;
        if self.bar_of(who, &digest).is_some() {
            return None;
        }
        let has_yes = self.kept(who, &digest, ObjectKind::Manifest).await == Kept::Fresh;
        if !has_yes && !self.is_public(who, &digest).await {
            return None;
        }
        let mut meant = Meant::without_bytes(digest, Granted::because(because));
        meant.is_stale = true;
        Some(meant)
    }

    /// What this node last heard that the tag means.
    pub(super) fn meant_last(&self, who: &Who, tag: &Tag) -> Option<Digest> {
        let record = self.store.tag(&who.location().to_string(), tag.as_str())?;
        record.digest.parse().ok()
    }

    async fn last_known(&self, who: &Who, tag: &Tag, head_only: bool) -> Result<Meant, Refusal> {
        let unknown = || {
            Refusal::unreachable(format!(
                "{} is unreachable, and neither this node nor a seed knows what {}:{tag} meant last",
                who.location().registry(),
                who.location().repository
            ))
        };
        let record = self.last_meaning(who, tag).await.ok_or_else(unknown)?;
        let digest: Digest = record.digest.parse().map_err(|_| unknown())?;
        let mut meant = self.manifest_by_digest(who, &digest, head_only).await?;
        meant.is_stale = true;
        Ok(meant)
    }

    async fn revalidate(&self, question: &TagQuestion, deadline: Instant) -> TagAnswer {
        if question.by_get {
            return self.read_whole(question, deadline).await;
        }
        let head = self.ask_about(question, Method::HEAD, deadline).await?;
        match self.read_answer(&question.who, head).await {
            Answer::Yes(told) => {
                if let Some(digest) = told.digest.clone() {
                    return Ok((digest, told, None));
                }
            }
            Answer::No(StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED) => {}
            answer => return Err(answer),
        }
        // A registry that leaves the digest out, or knows no HEAD: the manifest itself tells.
        self.read_whole(question, deadline).await
    }

    async fn read_whole(&self, question: &TagQuestion, deadline: Instant) -> TagAnswer {
        let whole = self.ask_about(question, Method::GET, deadline).await?;
        if !whole.status().is_success() {
            return Err(self.read_answer(&question.who, whole).await);
        }
        let told = Told::from(whole.headers());
        let bytes = timeout_at(deadline, gather(whole)).await.ok().flatten();
        let bytes = bytes.ok_or_else(|| {
            Answer::Failed(Failure::of_network(
                "the manifest broke off, came too slowly, or is too large",
            ))
        })?;
        Ok(meaning_of(bytes, told))
    }

    /// The registry's answer, or why there is none.
    async fn ask_about(
        &self,
        question: &TagQuestion,
        method: Method,
        deadline: Instant,
    ) -> Result<reqwest::Response, Answer> {
        let kind = ForwardedObject::Manifest {
            wanted: TagOrDigest::Tag(question.tag.clone()),
        };
        let (who, left) = (&question.who, deadline.saturating_duration_since(Instant::now()));
        let asked = who.question(method, kind, question.accept.clone(), left);
        match self
            .ask_raw(who, asked, patience(question.has_something_kept))
            .await
        {
            Reply::Answered(response) => Ok(response),
            Reply::Failed(failure) => Err(Answer::Failed(failure)),
            Reply::Unreachable => Err(Answer::Unreachable),
        }
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

fn meaning_of(bytes: Bytes, told: Told) -> Meaning {
    let told = Told {
        size: Some(bytes.len() as u64),
        ..told
    };
    (Digest::of(&bytes), told, Some(bytes))
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
