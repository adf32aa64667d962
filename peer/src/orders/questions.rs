//! Replies to the manager's questions about images.
//!
//! **Invariant:** a reply needs no other program and changes nothing. Spot checks are the exception, with their own limits.
//! A few questions are handled at a time. Beyond [`WAITING`], they are dropped: by then the manager has stopped waiting.

use std::sync::Arc;

use oci::{Digest, Location, RegistryName};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tracing::debug;
use uuid::Uuid;
use wire::{ObjectStatus, Pull, QUESTION_DIGESTS, Question, REPLY_PULLS, Reply, StandingState, TagRecord};

use super::checks::compare;
use super::context::OrdersContext;

/// Questions that are handled at the same time.
const AT_ONCE: usize = 4;
/// Questions that are handled or waiting.
const WAITING: usize = 64;

/// The questions of one session. A drop cancels the open ones.
pub(super) struct QuestionTasks {
    tasks: JoinSet<()>,
    room: Arc<Semaphore>,
}

impl QuestionTasks {
    pub(super) fn new() -> Self {
        Self {
            tasks: JoinSet::new(),
            room: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// Starts the reply and returns at once.
    pub(super) fn take(&mut self, orders: &OrdersContext, session: Uuid, question: Question) {
        while self.tasks.try_join_next().is_some() {}
        if self.tasks.len() >= WAITING {
            debug!(stoker.question = %question.id, "too many questions, this one was dropped");
            return;
        }
        let (orders, room) = (orders.clone(), self.room.clone());
        self.tasks.spawn(async move {
            // Never closed.
            let _room = room.acquire().await;
            answer(&orders, session, &question).await;
        });
    }
}

async fn answer(orders: &OrdersContext, session: Uuid, question: &Question) {
    let reply = reply(orders, question).await;
    if let Err(error) = orders.manager.answer(session, question.id, &reply).await {
        // The manager asks again if it still needs the reply.
        debug!(stoker.question = %question.id, %error, "reply could not be sent");
    }
}

async fn reply(orders: &OrdersContext, question: &Question) -> Reply {
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

/// An invalid digest counts as absent.
async fn standing(orders: &OrdersContext, digest: &str) -> StandingState {
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

fn meaning(orders: &OrdersContext, question: &Question, tag: &str) -> Option<TagRecord> {
    let location = canonical_location(orders, &question.location)?;
    orders.store.tag(&location.to_string(), tag)
}

fn pulls(orders: &OrdersContext, question: &Question) -> Vec<Pull> {
    let Some(location) = canonical_location(orders, &question.location) else {
        return Vec::new();
    };
    orders.pulls.newest(REPLY_PULLS, |pulled| {
        pulled.repository == location.repository.as_str()
            && canonical(orders, &pulled.registry) == location.registry().as_str()
    })
}

/// Returns the location as the front records it.
fn canonical_location(orders: &OrdersContext, text: &str) -> Option<Location> {
    let location: Location = text.parse().ok()?;
    let origin = orders.neighbours.registries().canonical_origin(&location.origin);
    Some(origin.at(location.repository))
}

/// Returns the registry's canonical name, or an invalid name unchanged.
fn canonical(orders: &OrdersContext, registry: &str) -> String {
    match registry.parse::<RegistryName>() {
        Ok(name) => orders.neighbours.registries().canonical(&name).to_string(),
        Err(_) => registry.to_owned(),
    }
}
