//! May this caller read this object here? Asks the registry for the very object with the caller's own credential
//! when nothing that is kept tells.
//!
//! **Invariant:** nobody reads what the registry would not give them: a yes is for one caller, one registry, one
//! repository and one digest. The decision itself is [`super::decision`], a function of values.

use std::time::Duration;

use http::{HeaderMap, Method, StatusCode};
use oci::{Digest, Origin, Question, QuestionKind, Tag, TagOrDigest};
use tracing::warn;
use wire::{ObjectKind, OfflineAccess};

use super::bars::Bar;
use super::decision::{Circumstances, Kept, Said, Verdict, judge};
use super::refusal::{Refusal, unknown};
use super::yeses::Place;
use super::{Access, Answer, Granted, Told, Who};

/// How long the registry may take, when there is an older yes to fall back on and when there is none.
pub(super) const LIMIT_WITH_A_YES: Duration = Duration::from_secs(3);
pub(super) const LIMIT_WITHOUT: Duration = Duration::from_secs(10);

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
        let kept = kept.or(self.public(who, digest));
        self.ask_and_judge(who, digest, kind, kept).await
    }

    /// The registry's own word, or what is kept while it is silent.
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
            Verdict::Read => Ok(Granted::because("kept while the registry is silent")),
            _ => Err(self.refusal(who, kind, &answer)),
        }
    }

    /// The caller was told no, or has to come back with a credential.
    pub(crate) fn refusal(&self, who: &Who, kind: ObjectKind, answer: &Answer) -> Refusal {
        let registry = who.location().registry().as_str();
        match answer {
            Answer::Challenge(headers) => {
                let registries = self.neighbours.registries();
                Refusal::Challenge(
                    self.challenges
                        .pass(&who.location().origin, registries, headers, &who.us),
                )
            }
            // The registry is back: the caller has to get a token that it takes.
            Answer::No(_) if who.was_hidden() && self.challenges.is_known(&who.location().origin) => {
                Refusal::Challenge(self.challenges.repeat(who.location(), &who.us))
            }
            Answer::Barred(bar) => Refusal::Barred(bar.clone()),
            Answer::No(status) => Refusal::of_registry(*status, unknown(kind), registry),
            Answer::Yes(_) | Answer::Silent => self.unavailable(who),
        }
    }

    /// The registry is silent and there is no yes to fall back on.
    fn unavailable(&self, who: &Who) -> Refusal {
        let circumstances = self.circumstances(who, Kept::None);
        if judge(Said::Silent, circumstances) == Verdict::RepeatChallenge {
            return Refusal::Challenge(self.challenges.repeat(who.location(), &who.us));
        }
        Refusal::silent(format!(
            "{} does not answer, and it has not said before that this credential may read {} (or too long ago)",
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

    /// The node's own credential stands for every caller while the registry is silent, where that is configured.
    pub(crate) fn node_vouches(&self, origin: &Origin) -> bool {
        self.neighbours.offline_access(&origin.registry) == OfflineAccess::NodeCredential
            && self.neighbours.own_credential(&origin.registry).is_some()
    }

    pub(super) async fn kept(&self, who: &Who, digest: &Digest, kind: ObjectKind) -> Kept {
        let (now, limits) = ((self.now)(), &self.limits);
        let of_age = |at| Kept::of_age(Some(at), now, limits.yes_kept, limits.yes_kept_offline);
        let place = who.place();
        let direct = self.yeses.given_at(&place, digest).map_or(Kept::None, of_age);
        if direct == Kept::Fresh {
            return direct;
        }
        // Youngest first, so the first that covers the object decides.
        for (manifest, at) in self.yeses.manifests(&place) {
            let kept = of_age(at);
            if kept == Kept::None || kept == direct {
                break;
            }
            if self.listings.covers(&manifest, digest, kind).await {
                return kept;
            }
        }
        direct
    }

    /// Whether a yes is known that nobody has to be asked about: this caller's own, or one for everybody.
    pub(crate) async fn knows_yes(&self, who: &Who, digest: &Digest, kind: ObjectKind) -> bool {
        self.kept(who, digest, kind).await == Kept::Fresh || self.is_public(who, digest).await
    }

    /// Whether anybody may read the object here: by a record that is not too old.
    pub(super) async fn is_public(&self, who: &Who, digest: &Digest) -> bool {
        if self.public(who, digest) == Kept::Fresh {
            return true;
        }
        let Some(at_ms) = self.seeds_say_public(who, digest).await else {
            return false;
        };
        self.store.record_public(digest, who.location(), at_ms);
        self.public(who, digest) == Kept::Fresh
    }

    /// What is known here of whether anybody may read the object.
    pub(super) fn public(&self, who: &Who, digest: &Digest) -> Kept {
        let at = self.store.public_at(digest, who.location());
        Kept::of_age(
            at,
            (self.now)(),
            self.limits.public_kept,
            self.limits.yes_kept_offline,
        )
    }

    async fn ask_for(&self, who: &Who, digest: &Digest, kind: ObjectKind, kept: Kept) -> Answer {
        let limit = if kept == Kept::None {
            LIMIT_WITHOUT
        } else {
            LIMIT_WITH_A_YES
        };
        let kind = match kind {
            ObjectKind::Manifest => QuestionKind::Manifest {
                wanted: TagOrDigest::Digest(digest.clone()),
            },
            ObjectKind::Blob => QuestionKind::Blob {
                digest: digest.clone(),
            },
        };
        let head = who.question(Method::HEAD, kind.clone(), Vec::new(), limit);
        match self.ask(who, head).await {
            // A registry that knows no HEAD: the headers of a GET say the same.
            Answer::No(StatusCode::METHOD_NOT_ALLOWED) => {
                self.ask(who, who.question(Method::GET, kind, Vec::new(), limit))
                    .await
            }
            answer => answer,
        }
    }

    /// Asks, unless the registry was found silent just now.
    async fn ask(&self, who: &Who, question: Question) -> Answer {
        match self.ask_raw(who, question).await {
            Some(response) => self.read_answer(who, response).await,
            None => Answer::Silent,
        }
    }

    pub(super) async fn read_answer(&self, who: &Who, response: reqwest::Response) -> Answer {
        if response.status() == StatusCode::PRECONDITION_FAILED {
            return Answer::Barred(Bar::read(response, who.location().registry().as_str()).await);
        }
        Answer::of(&response)
    }

    /// The registry's answer; none when it is silent. 429 and 5xx tell nothing about access: that is silence too.
    pub(crate) async fn ask_raw(&self, who: &Who, question: Question) -> Option<reqwest::Response> {
        let origin = &who.location().origin;
        let name = origin.to_string();
        if self.silence.lasts(&name) {
            return None;
        }
        let registry = self.neighbours.registries().registry(origin);
        let answer = match registry {
            Ok(registry) => registry.ask(question).await,
            Err(error) => Err(error),
        };
        let tells_nothing = |status: StatusCode| {
            status.is_server_error()
                || matches!(
                    status,
                    StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT
                )
        };
        match answer {
            Ok(response) if !tells_nothing(response.status()) => return Some(response),
            Ok(response) => {
                warn!(
                    stoker.registry = %origin.registry,
                    stoker.side = "registry",
                    http.response.status_code = response.status().as_u16(),
                    "registry {} cannot answer, what it said before counts",
                    origin.registry
                );
            }
            Err(error) => {
                warn!(
                    stoker.registry = %origin.registry,
                    stoker.side = "network",
                    %error,
                    "registry {} is silent, what it said before counts",
                    origin.registry
                );
            }
        }
        self.silence.begin(&name);
        None
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
            Answer::Yes(headers) => {
                self.grant(who, digest, kind);
                Some(Told::from(headers))
            }
            Answer::Challenge(headers) if ends_yeses(who, headers) => {
                self.forget(who, digest, kind).await;
                None
            }
            Answer::No(StatusCode::FORBIDDEN) if !who.was_hidden() => {
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
            Answer::Challenge(_) | Answer::No(_) | Answer::Silent => None,
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
        let is_refused = match answer {
            Answer::Challenge(headers) => ends_yeses(who, headers),
            Answer::No(status) => *status == StatusCode::FORBIDDEN && !who.was_hidden(),
            Answer::Yes(_) | Answer::Barred(_) | Answer::Silent => false,
        };
        if is_refused {
            self.yeses.forget_place(&who.place());
        }
    }

    pub(crate) fn grant(&self, who: &Who, digest: &Digest, kind: ObjectKind) {
        let place = Place::new(who.shown_to_registry, who.location());
        self.yeses.grant(&place, digest, kind, (self.now)());
    }

    /// The credential is refused: every yes goes that would let this caller read the object later.
    async fn forget(&self, who: &Who, digest: &Digest, kind: ObjectKind) {
        let place = who.place();
        let mut gone = vec![digest.clone()];
        for (manifest, _) in self.yeses.manifests(&place) {
            if self.listings.covers(&manifest, digest, kind).await {
                gone.push(manifest);
            }
        }
        self.yeses.forget(&place, &gone);
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
