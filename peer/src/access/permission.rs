//! May this caller read this object here? Asks the registry for the very object with the caller's own credential
//! when nothing that is kept tells.
//!
//! **Invariant:** nobody reads what the registry would not give them: a yes is for one caller, one registry, one
//! repository and one digest. The decision itself is [`super::decision`], a function of values.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use oci::{Digest, Origin, Tag};
use wire::{ObjectKind, OfflineAccess};

use super::challenge_relay::Challenged;
use super::decision::{Ages, Circumstances, Kept, Said, Verdict, judge};
use super::grants::Place;
use super::refusal::{Refusal, unknown};
use super::{Access, Answer, Granted, Told, Who};

impl Access {
    /// May this caller read this object?
    pub(crate) async fn may_read(
        &self,
        who: &Who,
        digest: &Digest,
        kind: ObjectKind,
    ) -> Result<Granted, Refusal> {
        let kept = self.kept(who, digest, kind).await;
        if kept == Kept::Fresh {
            return Ok(Granted::because("kept yes"));
        }
        if self.is_public(who, digest).await {
            return Ok(Granted::because("public"));
        }
        // A record that is too old to be taken at once counts like a yes of the same age.
        let kept = kept.max(self.public(who, digest));
        self.ask_and_judge(who, digest, kind, kept).await
    }

    /// The registry's own word, or what is kept where it gives none.
    pub(super) async fn ask_and_judge(
        &self,
        who: &Who,
        digest: &Digest,
        kind: ObjectKind,
        kept: Kept,
    ) -> Result<Granted, Refusal> {
        let answer = self.ask_for(who, digest, kind, kept).await;
        let told = self.learn(who, digest, kind, &answer).await;
        match judge(answer.said(), self.circumstances(who, kept)) {
            Verdict::Read if told.is_some() => Ok(Granted {
                because: "registry's yes",
                told,
            }),
            Verdict::Read => Ok(Granted::because(because_kept(&answer))),
            _ => Err(self.refusal(who, kind, &answer)),
        }
    }

    /// The caller was told no, or has to come back with a credential.
    pub(crate) fn refusal(&self, who: &Who, kind: ObjectKind, answer: &Answer) -> Refusal {
        let registry = who.location().registry().as_str();
        match answer {
            Answer::Challenge { headers, is_inside } => {
                let registries = self.neighbours.registries();
                let said = Challenged {
                    headers,
                    is_inside: *is_inside,
                };
                Refusal::Challenge(
                    self.challenges
                        .pass(&who.location().origin, registries, &said, &who.us),
                )
            }
            // The registry is back: the caller has to get a token that it takes.
            Answer::No(_) if who.was_hidden() && self.challenges.is_known(&who.location().origin) => {
                Refusal::Challenge(self.challenges.repeat(who.location(), &who.us))
            }
            Answer::Barred(bar) => Refusal::Barred(bar.clone()),
            Answer::No(status) => Refusal::of_registry(*status, unknown(kind), registry),
            Answer::Failed(failure) => Refusal::Failed(failure.clone()),
            Answer::Yes(_) | Answer::Unreachable => self.unavailable(who),
        }
    }

    /// The host is unreachable and there is no yes to fall back on.
    fn unavailable(&self, who: &Who) -> Refusal {
        let circumstances = self.circumstances(who, Kept::None);
        if judge(Said::Unreachable, circumstances) == Verdict::RepeatChallenge {
            return Refusal::Challenge(self.challenges.repeat(who.location(), &who.us));
        }
        Refusal::unreachable(format!(
            "{} is unreachable, and it has not said before that this credential may read {} (or too long ago)",
            who.location().registry(),
            who.location().repository
        ))
    }

    pub(super) fn circumstances(&self, who: &Who, kept: Kept) -> Circumstances {
        Circumstances {
            kept,
            showed_a_credential: who.showed_a_credential,
            node_vouches: self.node_vouches(&who.location().origin),
            challenge_is_known: self.challenges.is_known(&who.location().origin),
        }
    }

    /// The node's own credential stands for every caller while the host is unreachable, where that is configured.
    pub(crate) fn node_vouches(&self, origin: &Origin) -> bool {
        self.neighbours.offline_access(&origin.registry) == OfflineAccess::NodeCredential
            && self.neighbours.own_credential(&origin.registry).is_some()
    }

    pub(super) async fn kept(&self, who: &Who, digest: &Digest, kind: ObjectKind) -> Kept {
        let (now, place) = ((self.now)(), who.place());
        let refused_at = self.refused.since(&place, digest, now);
        let ages = self.ages(self.limits.yes_kept);
        let of_age = |at| Kept::of_age(unless_refused(Some(at), refused_at), now, ages);
        let direct = self.yeses.given_at(&place, digest).map_or(Kept::None, of_age);
        if direct == Kept::Fresh {
            return direct;
        }
        let of_manifests = self.yeses.manifests(&place).into_iter();
        // Youngest first, so the first that covers the object decides.
        let (manifests, kept): (Vec<Digest>, Vec<Kept>) = of_manifests
            .map(|(manifest, at)| (manifest, of_age(at)))
            .take_while(|(_, kept)| *kept > direct)
            .unzip();
        if manifests.is_empty() {
            return direct;
        }
        let above = self
            .listings
            .above(who.location(), &manifests, digest, kind)
            .await;
        let mut covering = manifests.iter().zip(kept);
        let found = covering.find(|(manifest, _)| above.contains(manifest));
        found.map_or(direct, |(_, kept)| kept)
    }

    /// Whether a yes is known that nobody has to be asked about: this caller's own, or one for everybody.
    pub(crate) async fn knows_yes(&self, who: &Who, digest: &Digest, kind: ObjectKind) -> bool {
        self.kept(who, digest, kind).await == Kept::Fresh || self.is_public(who, digest).await
    }

    /// Whether anybody may read the object here: by a record of the manager that is not too old.
    pub(super) async fn is_public(&self, who: &Who, digest: &Digest) -> bool {
        if self.public(who, digest) == Kept::Fresh {
            return true;
        }
        self.ask_seeds_what_is_public(who, digest).await;
        self.public(who, digest) == Kept::Fresh
    }

    /// What is known here of whether anybody may read the object.
    pub(super) fn public(&self, who: &Who, digest: &Digest) -> Kept {
        let (now, nobody) = ((self.now)(), Place::new(self.keyring.anonymous(), who.location()));
        let at = self.store.public_at(digest, who.location());
        let refused_at = self.refused.since(&nobody, digest, now);
        Kept::of_age(
            unless_refused(at, refused_at),
            now,
            self.ages(self.limits.public_kept),
        )
    }

    fn ages(&self, fresh: Duration) -> Ages {
        Ages {
            fresh,
            on_error: self.limits.yes_kept_on_error,
            offline: self.limits.yes_kept_offline,
        }
    }

    /// Keeps what the answer says about this caller.
    pub(super) async fn learn(
        &self,
        who: &Who,
        digest: &Digest,
        kind: ObjectKind,
        answer: &Answer,
    ) -> Option<Told> {
        match answer {
            Answer::Yes(told) => {
                self.grant(who, digest, kind);
                Some(told.clone())
            }
            answer if is_refusal(who, answer) => {
                self.remember_refusal(who, Some(digest));
                self.forget(who, digest, kind).await;
                None
            }
            Answer::Barred(bar) => {
                if kind == ObjectKind::Manifest {
                    self.bar(who, digest, bar);
                }
                self.forget(who, digest, kind).await;
                None
            }
            Answer::No(_) if !who.was_hidden() => {
                self.yeses.forget(&who.place(), std::slice::from_ref(digest));
                None
            }
            Answer::Challenge { .. } | Answer::No(_) | Answer::Failed(_) | Answer::Unreachable => None,
        }
    }

    /// A caller who is refused the tag itself may not pull from the repository: no older yes is prolonged. An image that
    /// is barred stays so under the digest that the tag meant last.
    pub(crate) async fn learn_from_tag(&self, who: &Who, tag: &Tag, answer: &Answer) {
        if let Answer::Barred(_) = answer
            && let Some(digest) = self.meant_last(who, tag)
        {
            self.learn(who, &digest, ObjectKind::Manifest, answer).await;
        }
        if is_refusal(who, answer) {
            self.remember_refusal(who, None);
            self.yeses.forget_place(&who.place());
        }
    }

    pub(crate) fn grant(&self, who: &Who, digest: &Digest, kind: ObjectKind) {
        let place = Place::new(who.shown_to_registry, who.location());
        self.refused.end(&place, digest);
        self.yeses.grant(&place, digest, kind, (self.now)());
    }

    /// A token of the anonymous caller may have been made for another repository, by anybody: that it is refused here says
    /// nothing about all anonymous callers.
    fn remember_refusal(&self, who: &Who, digest: Option<&Digest>) {
        let is_anonymous = who.key == self.keyring.anonymous();
        if !is_anonymous || who.authorization.is_none() {
            self.refused.remember(who.place(), digest.cloned(), (self.now)());
        }
    }

    /// The credential is refused: every yes goes that would let this caller read the object later.
    async fn forget(&self, who: &Who, digest: &Digest, kind: ObjectKind) {
        let place = who.place();
        let manifests = self.yeses.manifests(&place).into_iter();
        let mut gone: Vec<Digest> = manifests.map(|(manifest, _)| manifest).collect();
        let above = self.listings.above(who.location(), &gone, digest, kind).await;
        gone.retain(|manifest| above.contains(manifest));
        gone.push(digest.clone());
        self.yeses.forget(&place, &gone);
    }
}

/// The registry has refused the credential that it was shown.
fn is_refusal(who: &Who, answer: &Answer) -> bool {
    match answer {
        Answer::Challenge { headers, .. } => ends_yeses(who, headers),
        Answer::No(status) => *status == StatusCode::FORBIDDEN && !who.was_hidden(),
        Answer::Yes(_) | Answer::Barred(_) | Answer::Failed(_) | Answer::Unreachable => false,
    }
}

/// A yes counts unless the registry has refused since.
fn unless_refused(given_at_ms: Option<i64>, refused_at_ms: Option<i64>) -> Option<i64> {
    given_at_ms.filter(|given| refused_at_ms.is_none_or(|refused| *given > refused))
}

/// Why something kept counts.
pub(super) fn because_kept(answer: &Answer) -> &'static str {
    match answer {
        Answer::Failed(_) => "kept while the question fails",
        _ => "kept while the registry is unreachable",
    }
}

/// A password that is refused, and a token whose account may not read this. A token that has merely ended says
/// nothing about its account.
fn ends_yeses(who: &Who, headers: &HeaderMap) -> bool {
    let Some(sent) = &who.authorization else {
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
