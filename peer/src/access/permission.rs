//! Finds out whether a caller may read an object: from kept grants and public records, else from the registry, which is
//! asked for the object with the caller's own credential.
//!
//! **Invariant:** no caller reads an object that the registry would not send them. The decision itself is
//! [`super::decision`], a function of values.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use oci::{Digest, Origin, Tag};
use wire::{ObjectKind, OfflineAccess};

use super::answer::{Grant, GrantBasis, ObjectInfo, RegistryAnswer};
use super::caller::Caller;
use super::challenge_relay::ReceivedChallenge;
use super::decision::{AnswerKind, Circumstances, GrantAge, GrantAgeLimits, Verdict, judge};
use super::grants::CallerLocation;
use super::refusal::{Refusal, unknown};
use super::state::Access;

impl Access {
    /// Returns the grant if this caller may read the object.
    pub(crate) async fn may_read(
        &self,
        caller: &Caller,
        digest: &Digest,
        kind: ObjectKind,
    ) -> Result<Grant, Refusal> {
        let kept = self.kept(caller, digest, kind).await;
        if kept == GrantAge::Fresh {
            return Ok(Grant::without_answer(GrantBasis::Kept));
        }
        if self.is_public(caller, digest).await {
            return Ok(Grant::without_answer(GrantBasis::Public));
        }
        // An older public record counts like a kept grant of its age.
        let kept = kept.max(self.public(caller, digest));
        self.ask_and_judge(caller, digest, kind, kept).await
    }

    /// Asks the registry, and falls back on what is kept if it gives no answer.
    pub(super) async fn ask_and_judge(
        &self,
        caller: &Caller,
        digest: &Digest,
        kind: ObjectKind,
        kept: GrantAge,
    ) -> Result<Grant, Refusal> {
        let answer = self.ask_for(caller, digest, kind, kept).await;
        let info = self.learn(caller, digest, kind, &answer).await;
        match judge(answer.kind(), self.circumstances(caller, kept)) {
            Verdict::Read => Ok(info.map_or_else(
                || Grant::without_answer(GrantBasis::kept_after(&answer)),
                Grant::of_registry,
            )),
            _ => Err(self.refusal(caller, kind, &answer)),
        }
    }

    /// Returns the response for a caller who is refused, or who has to return with a credential.
    pub(crate) fn refusal(&self, caller: &Caller, kind: ObjectKind, answer: &RegistryAnswer) -> Refusal {
        let registry = caller.location().registry().as_str();
        match answer {
            RegistryAnswer::Challenge { headers, is_inside } => {
                let registries = self.neighbours.registries();
                let received = ReceivedChallenge {
                    headers,
                    is_inside: *is_inside,
                };
                Refusal::Challenge(self.challenges.pass(
                    &caller.location().origin,
                    registries,
                    &received,
                    &caller.front_address,
                ))
            }
            // The registry is reachable again: the caller has to get a token from its server.
            RegistryAnswer::Refused(_)
                if caller.credential_was_withheld()
                    && self.challenges.is_known(&caller.location().origin) =>
            {
                Refusal::Challenge(self.challenges.repeat(caller.location(), &caller.front_address))
            }
            RegistryAnswer::Barred(bar) => Refusal::Barred(bar.clone()),
            RegistryAnswer::Refused(status) => Refusal::of_registry(*status, unknown(kind), registry),
            RegistryAnswer::UnknownAlgorithm(algorithm) => Refusal::unknown_algorithm(algorithm),
            RegistryAnswer::Failed(failure) => Refusal::Failed(failure.clone()),
            RegistryAnswer::Granted(_) | RegistryAnswer::Unreachable => self.unavailable(caller),
        }
    }

    /// Refuses: the host is unreachable, and no kept grant counts.
    fn unavailable(&self, caller: &Caller) -> Refusal {
        let circumstances = self.circumstances(caller, GrantAge::None);
        if judge(AnswerKind::Unreachable, circumstances) == Verdict::RepeatChallenge {
            return Refusal::Challenge(self.challenges.repeat(caller.location(), &caller.front_address));
        }
        Refusal::unreachable(format!(
            "registry {} is unreachable, and no recent grant lets this credential read {}: pull again when the registry is back",
            caller.location().registry(),
            caller.location().repository
        ))
    }

    pub(super) fn circumstances(&self, caller: &Caller, kept: GrantAge) -> Circumstances {
        Circumstances {
            kept,
            showed_a_credential: caller.showed_a_credential,
            node_vouches: self.node_vouches(&caller.location().origin),
            challenge_is_known: self.challenges.is_known(&caller.location().origin),
        }
    }

    /// Returns whether the node's own credential lets every caller read while the host is unreachable, as configured.
    pub(crate) fn node_vouches(&self, origin: &Origin) -> bool {
        self.neighbours.offline_access(&origin.registry) == OfflineAccess::NodeCredential
            && self.neighbours.own_credential(&origin.registry).is_some()
    }

    pub(super) async fn kept(&self, caller: &Caller, digest: &Digest, kind: ObjectKind) -> GrantAge {
        let (now, at) = ((self.now)(), caller.at_location());
        let refused_at = self.refusals.since(&at, digest, now);
        let ages = self.ages(self.limits.yes_kept);
        let of_age = |at| GrantAge::of_age(unless_refused(Some(at), refused_at), now, ages);
        let direct = self.grants.given_at(&at, digest).map_or(GrantAge::None, of_age);
        if direct == GrantAge::Fresh {
            return direct;
        }
        let of_manifests = self.grants.manifests(&at).into_iter();
        // Youngest first: the first one that covers the object decides.
        let (manifests, kept): (Vec<Digest>, Vec<GrantAge>) = of_manifests
            .map(|(manifest, at)| (manifest, of_age(at)))
            .take_while(|(_, kept)| *kept > direct)
            .unzip();
        if manifests.is_empty() {
            return direct;
        }
        let above = self
            .listings
            .above(caller.location(), &manifests, digest, kind)
            .await;
        let mut covering = manifests.iter().zip(kept);
        let found = covering.find(|(manifest, _)| above.contains(manifest));
        found.map_or(direct, |(_, kept)| kept)
    }

    /// Returns whether a grant counts without a question: a fresh one of this caller, or a public record.
    pub(crate) async fn has_grant(&self, caller: &Caller, digest: &Digest, kind: ObjectKind) -> bool {
        self.kept(caller, digest, kind).await == GrantAge::Fresh || self.is_public(caller, digest).await
    }

    /// Returns whether a recent record of the manager says that anybody may read the object here. Asks seeds for one.
    pub(super) async fn is_public(&self, caller: &Caller, digest: &Digest) -> bool {
        if self.public(caller, digest) == GrantAge::Fresh {
            return true;
        }
        self.ask_seeds_what_is_public(caller, digest).await;
        self.public(caller, digest) == GrantAge::Fresh
    }

    /// Returns the age of the public record that this peer has.
    pub(super) fn public(&self, caller: &Caller, digest: &Digest) -> GrantAge {
        let (now, anybody) = (
            (self.now)(),
            CallerLocation::new(self.keyring.anonymous(), caller.location()),
        );
        let at = self.store.public_at(digest, caller.location());
        let refused_at = self.refusals.since(&anybody, digest, now);
        GrantAge::of_age(
            unless_refused(at, refused_at),
            now,
            self.ages(self.limits.public_kept),
        )
    }

    fn ages(&self, fresh: Duration) -> GrantAgeLimits {
        GrantAgeLimits {
            fresh,
            on_error: self.limits.yes_kept_on_error,
            offline: self.limits.yes_kept_offline,
        }
    }

    /// Keeps what the answer says about this caller. Returns the object's info if it was granted.
    pub(super) async fn learn(
        &self,
        caller: &Caller,
        digest: &Digest,
        kind: ObjectKind,
        answer: &RegistryAnswer,
    ) -> Option<ObjectInfo> {
        match answer {
            RegistryAnswer::Granted(info) => {
                self.grant(caller, digest, kind);
                Some(info.clone())
            }
            answer if is_refusal(caller, answer) => {
                self.remember_refusal(caller, Some(digest));
                self.forget(caller, digest, kind).await;
                None
            }
            RegistryAnswer::Barred(bar) => {
                if kind == ObjectKind::Manifest {
                    self.bars.set(caller.location(), digest, bar);
                }
                self.forget(caller, digest, kind).await;
                None
            }
            RegistryAnswer::Refused(_) if !caller.credential_was_withheld() => {
                self.grants
                    .forget(&caller.at_location(), std::slice::from_ref(digest));
                None
            }
            RegistryAnswer::Challenge { .. }
            | RegistryAnswer::Refused(_)
            | RegistryAnswer::UnknownAlgorithm(_)
            | RegistryAnswer::Failed(_)
            | RegistryAnswer::Unreachable => None,
        }
    }

    /// Keeps the answer to a question about a tag. A caller who is refused the tag loses all grants at the location. A
    /// barred image is barred under the tag's last digest.
    pub(crate) async fn learn_from_tag(&self, caller: &Caller, tag: &Tag, answer: &RegistryAnswer) {
        if let RegistryAnswer::Barred(_) = answer
            && let Some(digest) = self.last_known_here(caller, tag)
        {
            self.learn(caller, &digest, ObjectKind::Manifest, answer).await;
        }
        if is_refusal(caller, answer) {
            self.remember_refusal(caller, None);
            self.grants.forget_location(&caller.at_location());
        }
    }

    pub(crate) fn grant(&self, caller: &Caller, digest: &Digest, kind: ObjectKind) {
        let at = CallerLocation::new(caller.shown_to_registry, caller.location());
        self.refusals.end(&at, digest);
        self.grants.grant(&at, digest, kind, (self.now)());
    }

    /// Skips anonymous tokens: one may be made for another repository, so its refusal does not concern all anonymous
    /// callers.
    fn remember_refusal(&self, caller: &Caller, digest: Option<&Digest>) {
        let is_anonymous = caller.key == self.keyring.anonymous();
        if !is_anonymous || caller.authorization.is_none() {
            self.refusals
                .remember(caller.at_location(), digest.cloned(), (self.now)());
        }
    }

    /// Removes every grant that would let this caller read the object later.
    async fn forget(&self, caller: &Caller, digest: &Digest, kind: ObjectKind) {
        let at = caller.at_location();
        let manifests = self.grants.manifests(&at).into_iter();
        let mut gone: Vec<Digest> = manifests.map(|(manifest, _)| manifest).collect();
        let above = self.listings.above(caller.location(), &gone, digest, kind).await;
        gone.retain(|manifest| above.contains(manifest));
        gone.push(digest.clone());
        self.grants.forget(&at, &gone);
    }
}

/// Returns whether the registry refused the credential itself.
fn is_refusal(caller: &Caller, answer: &RegistryAnswer) -> bool {
    match answer {
        RegistryAnswer::Challenge { headers, .. } => ends_grants(caller, headers),
        RegistryAnswer::Refused(status) => {
            *status == StatusCode::FORBIDDEN && !caller.credential_was_withheld()
        }
        RegistryAnswer::Granted(_)
        | RegistryAnswer::Barred(_)
        | RegistryAnswer::Failed(_)
        | RegistryAnswer::UnknownAlgorithm(_)
        | RegistryAnswer::Unreachable => false,
    }
}

/// A grant counts unless the registry has refused since.
fn unless_refused(given_at_ms: Option<i64>, refused_at_ms: Option<i64>) -> Option<i64> {
    given_at_ms.filter(|given| refused_at_ms.is_none_or(|refused| *given > refused))
}

/// Returns whether this 401 ends grants: it refuses a password, or says that the token's account may not read the object.
/// An expired token says nothing about its account.
fn ends_grants(caller: &Caller, headers: &HeaderMap) -> bool {
    let Some(sent) = &caller.authorization else {
        return false;
    };
    let is_basic = sent
        .expose()
        .get(..6)
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case("basic "));
    let says = |value: &http::HeaderValue| {
        value
            .to_str()
            .is_ok_and(|text| text.contains("insufficient_scope"))
    };
    is_basic || headers.get_all(http::header::WWW_AUTHENTICATE).iter().any(says)
}
