//! Registries that count pulls (Harbor): each GET of a manifest by a client is a GET at the registry too, even if we hold
//! the manifest, so that pull counts, retention and bars stay right. The response's bytes are then served.
//!
//! **Invariant:** one GET at the registry for each GET of a client. A kept grant counts only if the registry does not
//! answer, and never if it had barred the image.

use bytes::Bytes;
use http::Method;
use oci::{Digest, ForwardedObject, TagOrDigest};
use wire::{Authorize, ObjectKind};

use super::answer::{Grant, GrantBasis, RegistryAnswer};
use super::caller::Caller;
use super::decision::{GrantAge, Verdict, judge};
use super::questions::{QuestionOutcome, patience, proven};
use super::refusal::Refusal;
use super::state::Access;

/// A manifest that the caller may read, with its bytes if the registry has just sent them.
pub(crate) struct GrantedManifest {
    pub(crate) digest: Digest,
    pub(crate) grant: Grant,
    pub(crate) bytes: Option<Bytes>,
    /// The tag's last meaning: the registry did not say what it means now.
    pub(crate) is_stale: bool,
}

impl GrantedManifest {
    pub(crate) fn without_bytes(digest: Digest, grant: Grant) -> Self {
        Self {
            digest,
            grant,
            bytes: None,
            is_stale: false,
        }
    }
}

impl Access {
    /// Returns whether a GET of a client has to be a GET at the registry.
    pub(crate) fn asks_for_each(&self, caller: &Caller) -> bool {
        let seen = || self.challenges.is_harbors(&caller.location().origin);
        self.neighbours.authorize(caller.location().registry(), seen) == Authorize::ManifestGet
    }

    /// Returns the manifest, if this caller may read it.
    pub(crate) async fn manifest_by_digest(
        &self,
        caller: &Caller,
        digest: &Digest,
        head_only: bool,
    ) -> Result<GrantedManifest, Refusal> {
        if !head_only && self.asks_for_each(caller) {
            return self.get_at_registry(caller, digest).await;
        }
        // Ask for a missing manifest now: a HEAD must not lead to a GET at the registry.
        let grant = if self.asks_for_each(caller) && self.store.about(digest).is_none() {
            let kept = self.kept(caller, digest, ObjectKind::Manifest).await;
            self.ask_and_judge(caller, digest, ObjectKind::Manifest, kept)
                .await?
        } else {
            self.may_read(caller, digest, ObjectKind::Manifest).await?
        };
        Ok(GrantedManifest::without_bytes(digest.clone(), grant))
    }

    async fn get_at_registry(&self, caller: &Caller, digest: &Digest) -> Result<GrantedManifest, Refusal> {
        let kind = ForwardedObject::Manifest {
            wanted: TagOrDigest::Digest(digest.clone()),
        };
        let kept = self.kept(caller, digest, ObjectKind::Manifest).await;
        let question = caller.question(Method::GET, kind, Vec::new(), self.limit(caller, kept));
        let reply = self
            .ask_raw(caller, question, patience(kept != GrantAge::None))
            .await;
        let (bytes, answer) = match reply {
            QuestionOutcome::Answered(response) if response.status().is_success() => {
                proven(digest, response).await
            }
            QuestionOutcome::Answered(response) => (None, self.read_answer(caller, response).await),
            QuestionOutcome::Failed(failure) => (None, RegistryAnswer::Failed(failure)),
            QuestionOutcome::Unreachable => (None, RegistryAnswer::Unreachable),
        };
        let info = match answer {
            RegistryAnswer::Granted(info) => info,
            RegistryAnswer::Failed(_) | RegistryAnswer::Unreachable => {
                return self.kept_manifest(caller, digest, kept, &answer).await;
            }
            answer => {
                self.learn(caller, digest, ObjectKind::Manifest, &answer).await;
                return Err(self.refusal(caller, ObjectKind::Manifest, &answer));
            }
        };
        self.grant_by_get(caller, digest);
        Ok(GrantedManifest {
            digest: digest.clone(),
            grant: Grant::of_registry(info),
            bytes,
            is_stale: false,
        })
    }

    /// Keeps the grant of a GET, which also lifts a bar.
    pub(crate) fn grant_by_get(&self, caller: &Caller, digest: &Digest) {
        self.bars.lift(caller.location(), digest);
        self.grant(caller, digest, ObjectKind::Manifest);
    }

    /// Decides after the registry gave no answer.
    async fn kept_manifest(
        &self,
        caller: &Caller,
        digest: &Digest,
        kept: GrantAge,
        answer: &RegistryAnswer,
    ) -> Result<GrantedManifest, Refusal> {
        if let Some(bar) = self.bars.get(caller.location(), digest) {
            return Err(Refusal::Barred(bar));
        }
        let public = if self.is_public(caller, digest).await {
            GrantAge::Fresh
        } else {
            self.public(caller, digest)
        };
        let circumstances = self.circumstances(caller, kept.max(public));
        if judge(answer.kind(), circumstances) != Verdict::Read {
            return Err(self.refusal(caller, ObjectKind::Manifest, answer));
        }
        let basis = if kept < public {
            GrantBasis::Public
        } else {
            GrantBasis::kept_after(answer)
        };
        Ok(GrantedManifest::without_bytes(
            digest.clone(),
            Grant::without_answer(basis),
        ))
    }
}
