//! What a tag means: the registry's present answer, or the last known meaning where it gives none.
//!
//! **Invariant:** every request for a tag asks the registry. Its answer to this caller is also the grant for the manifest
//! that the tag leads to. The last meaning is given for an unreachable host; for a failed or slow question only if the
//! caller has a fresh grant or the image is public. It always carries a `Warning`. The digest has the algorithm that the
//! registry names; if that cannot be verified, the tag is refused.

use axum::body::Bytes;
use http::Method;
use oci::{Digest, DigestAlgorithm, ForwardedObject, Tag, TagOrDigest};
use tokio::time::{Instant, timeout_at};
use wire::{ObjectKind, TagRecord};

use super::answer::{Grant, GrantBasis, ObjectInfo, RegistryAnswer};
use super::authorize::GrantedManifest;
use super::caller::Caller;
use super::decision::GrantAge;
use super::failure::Failure;
use super::questions::{QuestionOutcome, gather, may_be_about_head, patience, unless_failed, verified};
use super::refusal::Refusal;
use super::running_questions::{ResolvedTag, TagAnswer};
use super::state::Access;
use super::tag_questions::TagQuestion;

const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

impl Access {
    /// Returns the manifest that the tag leads to, if this caller may read it.
    pub(crate) async fn meaning(
        &self,
        caller: &Caller,
        tag: &Tag,
        accept: &[String],
        head_only: bool,
    ) -> Result<GrantedManifest, Refusal> {
        let by_get = !head_only && self.asks_for_each(caller);
        let question = self.ask_about_tag(TagQuestion {
            caller: caller.clone(),
            tag: tag.clone(),
            accept: accept.to_vec(),
            by_get,
            has_kept_meaning: self.last_known_here(caller, tag).is_some(),
        });
        let answer = match question.answer_soon().await {
            Some(answer) => answer,
            None => match self.kept_meaning(caller, tag, GrantBasis::KeptWhileSlow).await {
                Some(manifest) => {
                    self.running_questions.keep(&question);
                    return Ok(manifest);
                }
                None => question.answer().await,
            },
        };
        match answer {
            Ok(resolved) => Ok(GrantedManifest {
                digest: resolved.digest,
                grant: Grant::of_registry(resolved.info),
                bytes: resolved.bytes.filter(|_| by_get),
                is_stale: false,
            }),
            Err(RegistryAnswer::Unreachable) => self.last_known(caller, tag, head_only).await,
            Err(answer @ RegistryAnswer::Failed(_)) => self
                .kept_meaning(caller, tag, GrantBasis::KeptWhileFailing)
                .await
                .ok_or_else(|| self.refusal(caller, ObjectKind::Manifest, &answer)),
            Err(answer) => Err(self.refusal(caller, ObjectKind::Manifest, &answer)),
        }
    }

    /// Asks the registry and keeps what it answers, also when the caller no longer waits.
    pub(super) async fn resolve_tag(&self, question: &TagQuestion) -> TagAnswer {
        let TagQuestion { caller, tag, .. } = question;
        let limit = self.limit(caller, GrantAge::None);
        let answer = self.ask_registry(question, Instant::now() + limit).await;
        match &answer {
            Ok(resolved) => {
                if question.by_get {
                    self.grant_by_get(caller, &resolved.digest);
                } else {
                    self.grant(caller, &resolved.digest, ObjectKind::Manifest);
                }
                if takes_indexes(&question.accept) {
                    self.record(caller, tag, resolved);
                }
            }
            Err(answer) => self.learn_from_tag(caller, tag, answer).await,
        }
        answer
    }

    /// Returns the last meaning, where it may be given although the question is slow or failed.
    async fn kept_meaning(&self, caller: &Caller, tag: &Tag, basis: GrantBasis) -> Option<GrantedManifest> {
        let record = self.last_meaning(caller, tag).await?;
        let digest: Digest = record.digest.parse().ok()?;
        if self.bars.get(caller.location(), &digest).is_some() {
            return None;
        }
        let has_grant = self.kept(caller, &digest, ObjectKind::Manifest).await == GrantAge::Fresh;
        if !has_grant && !self.is_public(caller, &digest).await {
            return None;
        }
        let mut manifest = GrantedManifest::without_bytes(digest, Grant::without_answer(basis));
        manifest.is_stale = true;
        Some(manifest)
    }

    /// Returns the tag's last meaning that this peer has recorded.
    pub(super) fn last_known_here(&self, caller: &Caller, tag: &Tag) -> Option<Digest> {
        let record = self.store.tag(&caller.location().to_string(), tag.as_str())?;
        record.digest.parse().ok()
    }

    /// Returns the tag's last meaning while the registry is unreachable, if this caller may read it.
    async fn last_known(
        &self,
        caller: &Caller,
        tag: &Tag,
        head_only: bool,
    ) -> Result<GrantedManifest, Refusal> {
        let unknown = || {
            Refusal::unreachable(format!(
                "registry {} is unreachable, and no peer knows the last meaning of {}:{tag}: pull again when the registry is back",
                caller.location().registry(),
                caller.location().repository
            ))
        };
        let record = self.last_meaning(caller, tag).await.ok_or_else(unknown)?;
        let digest: Digest = record.digest.parse().map_err(|_| unknown())?;
        let mut manifest = self.manifest_by_digest(caller, &digest, head_only).await?;
        manifest.is_stale = true;
        Ok(manifest)
    }

    async fn ask_registry(&self, question: &TagQuestion, deadline: Instant) -> TagAnswer {
        if question.by_get {
            return self.read_whole(question, deadline).await;
        }
        let head = match self.send_question(question, Method::HEAD, deadline).await {
            Ok(response) => self.read_answer(&question.caller, response).await,
            Err(answer) => answer,
        };
        let head = match head {
            RegistryAnswer::Granted(info) => {
                if let Some(algorithm) = info.unknown_algorithm {
                    return Err(RegistryAnswer::UnknownAlgorithm(algorithm));
                }
                if let Some(digest) = info.digest.clone() {
                    return Ok(ResolvedTag {
                        digest,
                        info,
                        bytes: None,
                    });
                }
                None
            }
            answer if may_be_about_head(&answer) => Some(answer),
            answer => return Err(answer),
        };
        // The registry does not send the digest, or refuses HEAD: hash the manifest.
        let whole = self.read_whole(question, deadline).await;
        whole.map_err(|answer| unless_failed(answer, head))
    }

    /// Returns the manifest that the registry sends for the tag, if it has this digest.
    pub(crate) async fn bytes_of_tag(
        &self,
        caller: &Caller,
        tag: &Tag,
        accept: Vec<String>,
        digest: &Digest,
    ) -> Option<Bytes> {
        let question = TagQuestion {
            caller: caller.clone(),
            tag: tag.clone(),
            accept,
            by_get: true,
            has_kept_meaning: false,
        };
        let read = self
            .read_whole(&question, Instant::now() + self.limit(caller, GrantAge::None))
            .await;
        let resolved = read.ok().filter(|resolved| resolved.digest == *digest)?;
        resolved.bytes
    }

    async fn read_whole(&self, question: &TagQuestion, deadline: Instant) -> TagAnswer {
        let whole = self.send_question(question, Method::GET, deadline).await?;
        if !whole.status().is_success() {
            return Err(self.read_answer(&question.caller, whole).await);
        }
        let headers = whole.headers().clone();
        let info = ObjectInfo::from(&headers);
        if let Some(algorithm) = info.unknown_algorithm {
            return Err(RegistryAnswer::UnknownAlgorithm(algorithm));
        }
        let bytes = timeout_at(deadline, gather(whole))
            .await
            .ok()
            .and_then(Result::ok);
        let bytes = bytes.ok_or_else(|| {
            RegistryAnswer::Failed(Failure::of_network(
                "the manifest was cut off, too slow or too large: pull again, or read the registry's log",
            ))
        })?;
        // An encoded manifest is decoded only if its digest is known.
        let plain = verified(bytes.clone(), &headers, None)
            .or_else(|| verified(bytes, &headers, info.digest.as_ref()));
        let bytes = plain.ok_or_else(|| {
            RegistryAnswer::Failed(Failure::of_registry(
                "the registry sent an encoded manifest without its digest: turn off the compression there",
            ))
        })?;
        // By the registry's algorithm: it does not know the manifest by another digest.
        let algorithm = info
            .digest
            .as_ref()
            .map_or(DigestAlgorithm::Sha256, Digest::algorithm);
        Ok(ResolvedTag {
            digest: algorithm.digest(&bytes),
            info: ObjectInfo {
                size: Some(bytes.len() as u64),
                ..info
            },
            bytes: Some(bytes),
        })
    }

    async fn send_question(
        &self,
        question: &TagQuestion,
        method: Method,
        deadline: Instant,
    ) -> Result<reqwest::Response, RegistryAnswer> {
        let kind = ForwardedObject::Manifest {
            wanted: TagOrDigest::Tag(question.tag.clone()),
        };
        let (caller, left) = (
            &question.caller,
            deadline.saturating_duration_since(Instant::now()),
        );
        let sent = caller.question(method, kind, question.accept.clone(), left);
        match self
            .ask_raw(caller, sent, patience(question.has_kept_meaning))
            .await
        {
            QuestionOutcome::Answered(response) => Ok(response),
            QuestionOutcome::Failed(failure) => Err(RegistryAnswer::Failed(failure)),
            QuestionOutcome::Unreachable => Err(RegistryAnswer::Unreachable),
        }
    }

    fn record(&self, caller: &Caller, tag: &Tag, resolved: &ResolvedTag) {
        self.store.record_tag(&TagRecord {
            location: caller.location().to_string(),
            tag: tag.to_string(),
            digest: resolved.digest.to_string(),
            media_type: resolved.info.media_type.clone().unwrap_or_default(),
            seen_unix_ms: (self.now)(),
        });
    }
}

/// Returns whether the client takes indexes. For other clients, some registries answer with one image of the index: that
/// is not what the tag means.
fn takes_indexes(accept: &[String]) -> bool {
    let names = |media_type: &str| accept.iter().any(|value| value.contains(media_type));
    accept.is_empty() || (names(OCI_INDEX) && names(DOCKER_LIST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_to_a_client_without_indexes_is_no_tag_meaning() {
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
