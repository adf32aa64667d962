//! Registries that want to see each pull: a client's GET of a manifest is a GET there, even if we hold the manifest, so
//! that pull counts, retention and bars stay true. The answer's bytes are then the ones that are served.
//!
//! **Invariant:** one GET at the registry for one GET of a client. Only a registry that gives no answer is overruled by a
//! kept yes, and never where it had barred the image.

use bytes::Bytes;
use http::Method;
use oci::{Digest, QuestionKind, TagOrDigest};
use wire::{Authorize, ObjectKind};

use super::decision::{Kept, Verdict, judge};
use super::permission::because_kept;
use super::questions::{Reply, limit, patience, proven};
use super::refusal::Refusal;
use super::{Access, Answer, Granted, Who};

/// A manifest that the caller may read, and its bytes if the registry has just sent them.
pub(crate) struct Meant {
    pub(crate) digest: Digest,
    pub(crate) granted: Granted,
    pub(crate) bytes: Option<Bytes>,
    /// The tag's last meaning: the registry did not say what it means now.
    pub(crate) is_stale: bool,
}

impl Meant {
    pub(crate) fn without_bytes(digest: Digest, granted: Granted) -> Self {
        Self {
            digest,
            granted,
            bytes: None,
            is_stale: false,
        }
    }
}

impl Access {
    /// Whether a GET of a client has to be one at the registry.
    pub(crate) fn asks_for_each(&self, who: &Who) -> bool {
        let seen = || self.challenges.is_harbors(&who.location().origin);
        self.neighbours.authorize(who.location().registry(), seen) == Authorize::ManifestGet
    }

    /// May this caller read this manifest? A GET asks as the registry wants to be asked.
    pub(crate) async fn manifest_by_digest(
        &self,
        who: &Who,
        digest: &Digest,
        head_only: bool,
    ) -> Result<Meant, Refusal> {
        if !head_only && self.asks_for_each(who) {
            return self.get_at_registry(who, digest).await;
        }
        // A HEAD must not become a GET because the manifest is not here.
        let granted = if self.asks_for_each(who) && self.store.about(digest).is_none() {
            let kept = self.kept(who, digest, ObjectKind::Manifest).await;
            self.ask_and_judge(who, digest, ObjectKind::Manifest, kept)
                .await?
        } else {
            self.may_read(who, digest, ObjectKind::Manifest).await?
        };
        Ok(Meant::without_bytes(digest.clone(), granted))
    }

    async fn get_at_registry(&self, who: &Who, digest: &Digest) -> Result<Meant, Refusal> {
        let kind = QuestionKind::Manifest {
            wanted: TagOrDigest::Digest(digest.clone()),
        };
        let kept = self.kept(who, digest, ObjectKind::Manifest).await;
        let question = who.question(Method::GET, kind, Vec::new(), limit(kept));
        let reply = self.ask_raw(who, question, patience(kept != Kept::None)).await;
        let (bytes, answer) = match reply {
            Reply::Answered(response) if response.status().is_success() => proven(digest, response).await,
            Reply::Answered(response) => (None, self.read_answer(who, response).await),
            Reply::Failed(failure) => (None, Answer::Failed(failure)),
            Reply::Unreachable => (None, Answer::Unreachable),
        };
        let told = match answer {
            Answer::Yes(told) => told,
            Answer::Failed(_) | Answer::Unreachable => {
                return self.kept_manifest(who, digest, kept, &answer).await;
            }
            answer => {
                self.learn(who, digest, ObjectKind::Manifest, &answer).await;
                return Err(self.refusal(who, ObjectKind::Manifest, &answer));
            }
        };
        self.given_out(who, digest);
        let granted = Granted {
            because: "registry's yes",
            told: Some(told),
        };
        Ok(Meant {
            digest: digest.clone(),
            granted,
            bytes,
            is_stale: false,
        })
    }

    /// The registry's yes to a GET.
    pub(crate) fn given_out(&self, who: &Who, digest: &Digest) {
        self.lift_bar(who, digest);
        self.grant(who, digest, ObjectKind::Manifest);
    }

    /// The registry gives no answer.
    async fn kept_manifest(
        &self,
        who: &Who,
        digest: &Digest,
        kept: Kept,
        answer: &Answer,
    ) -> Result<Meant, Refusal> {
        if let Some(bar) = self.bar_of(who, digest) {
            return Err(Refusal::Barred(bar));
        }
        let public = if self.is_public(who, digest).await {
            Kept::Fresh
        } else {
            self.public(who, digest)
        };
        let circumstances = self.circumstances(who, kept.max(public));
        if judge(answer.said(), circumstances) != Verdict::Read {
            return Err(self.refusal(who, ObjectKind::Manifest, answer));
        }
        let because = if kept < public {
            "public"
        } else {
            because_kept(answer)
        };
        Ok(Meant::without_bytes(digest.clone(), Granted::because(because)))
    }
}
