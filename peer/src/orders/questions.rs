//! Answers the manager's questions: how does this image stand with you?
//!
//! **Invariant:** answering waits for nobody else and changes nothing, but for spot checks, which have limits of their own;
//! a few are answered at a time, and more than [`WAITING`] are not kept: by then the manager waits no longer.

use std::sync::Arc;

use oci::{Digest, Location, RegistryName};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tracing::debug;
use uuid::Uuid;
use wire::{ObjectStatus, Pull, QUESTION_DIGESTS, Question, REPLY_PULLS, Reply, StandingState, TagRecord};

use super::Orders;
use super::checks::compare;

/// Questions that are answered at the same time.
const AT_ONCE: usize = 4;
/// Questions that are answered or wait for it.
const WAITING: usize = 64;

/// The questions of one session; dropping it drops what is not answered.
pub(super) struct Answering {
    tasks: JoinSet<()>,
    room: Arc<Semaphore>,
}

impl Answering {
    pub(super) fn new() -> Self {
        Self {
            tasks: JoinSet::new(),
            room: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// Does not wait for the answer.
    pub(super) fn take(&mut self, orders: &Orders, session: Uuid, question: Question) {
        while self.tasks.try_join_next().is_some() {}
        if self.tasks.len() >= WAITING {
            debug!(stoker.question = %question.id, "too many questions: this one is left");
            return;
        }
        let (orders, room) = (orders.clone(), self.room.clone());
        self.tasks.spawn(async move {
            // Closed by nobody.
            let _room = room.acquire().await;
            answer(&orders, session, &question).await;
        });
    }
}

async fn answer(orders: &Orders, session: Uuid, question: &Question) {
    let reply = reply(orders, question).await;
    if let Err(error) = orders.manager.answer(session, question.id, &reply).await {
        // Asked again by whoever still wants to know.
        debug!(stoker.question = %question.id, %error, "a question could not be answered");
    }
}

async fn reply(orders: &Orders, question: &Question) -> Reply {
    if let Some(check) = &question.check {
        return Reply {
            compared: Some(compare(orders, check, &question.location).await),
            ..Reply::default()
        };
    }
    let mut objects = Vec::with_capacity(question.digests.len().min(QUESTION_DIGESTS));
    for digest in question.digests.iter().take(QUESTION_DIGESTS) {
        objects.push(ObjectStatus {
            digest: digest.clone(),
            state: standing(orders, digest).await,
        });
    }
    Reply {
        objects,
        tag: question
            .tag
            .as_ref()
            .and_then(|tag| meaning(orders, question, tag)),
        pulls: pulls(orders, question),
        compared: None,
    }
}

/// What is no digest is not here.
async fn standing(orders: &Orders, digest: &str) -> StandingState {
    let Ok(digest) = digest.parse::<Digest>() else {
        return StandingState::Absent;
    };
    if let Some(about) = orders.store.about(&digest) {
        return StandingState::Sealed { size: about.size };
    }
    if let Some(bytes) = orders.store.landed(&digest).await {
        return StandingState::Partial { bytes };
    }
    orders
        .store
        .removal(&digest)
        .map_or(StandingState::Absent, |removal| StandingState::Removed {
            at_unix_ms: removal.at_unix_ms,
            why: removal.why.word().to_owned(),
        })
}

fn meaning(orders: &Orders, question: &Question, tag: &str) -> Option<TagRecord> {
    let location = canonical_location(orders, &question.location)?;
    orders.store.tag(&location.to_string(), tag)
}

fn pulls(orders: &Orders, question: &Question) -> Vec<Pull> {
    let Some(location) = canonical_location(orders, &question.location) else {
        return Vec::new();
    };
    orders.pulls.newest(REPLY_PULLS, |pulled| {
        pulled.repository == location.repository.as_str()
            && canonical(orders, &pulled.registry) == location.registry().as_str()
    })
}

/// As the front records it; none for what is no location.
fn canonical_location(orders: &Orders, text: &str) -> Option<Location> {
    let location: Location = text.parse().ok()?;
    let origin = orders.neighbours.registries().canonical_origin(&location.origin);
    Some(origin.at(location.repository))
}

/// The registry's one name; what cannot be a registry is called what it is called.
fn canonical(orders: &Orders, registry: &str) -> String {
    match registry.parse::<RegistryName>() {
        Ok(name) => orders.neighbours.registries().canonical(&name).to_string(),
        Err(_) => registry.to_owned(),
    }
}
