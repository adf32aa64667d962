//! Questions to peers, sent on their long poll.
//!
//! **Invariant:** a question stays open as long as its caller waits. The caller gets at most one reply, from the peer
//! that was asked; a late or repeated reply changes nothing.
//!
//! Non-goals: questions do not survive a restart, and reach only peers that poll this manager.

use std::time::Duration;

use sea_orm::EntityTrait;
use tokio::time::timeout;
use uuid::Uuid;
use wire::{QUESTION_DIGESTS, Question, REPLY_PULLS, Reply};

use super::sessions;
use crate::engine::preheater::{Inner, Preheater};
use crate::engine::work::lane_of;
use crate::model::errors::{SessionError, StorageError};
use crate::rows::peers;

/// Why a question got no reply.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    #[error("the peer has no session: it is not running, or cannot reach the manager")]
    Away,
    #[error("the peer has a session and did not answer in time")]
    Late,
    #[error("too many questions are open; ask again in a moment")]
    Busy,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Puts a question to a peer and waits for its reply, for `Limits::answer_wait` at most.
pub async fn ask(preheater: &Preheater, peer: Uuid, question: Question) -> Result<Reply, NoAnswer> {
    let inner = &preheater.inner;
    ask_within(inner, peer, question, inner.limits.answer_wait).await
}

/// The same for a question that takes the peer some time.
pub(crate) async fn ask_within(
    inner: &Inner,
    peer: Uuid,
    mut question: Question,
    wait: Duration,
) -> Result<Reply, NoAnswer> {
    if !is_alive(inner, peer).await? {
        return Err(NoAnswer::Away);
    }
    question.digests.truncate(QUESTION_DIGESTS);
    let mut asked = inner.questions.put(peer, question).ok_or(NoAnswer::Busy)?;
    inner.bell.ring(&lane_of(peer));
    match timeout(wait, &mut asked.reply).await {
        Ok(Ok(reply)) => Ok(reply),
        _ => Err(NoAnswer::Late),
    }
}

async fn is_alive(inner: &Inner, peer: Uuid) -> Result<bool, StorageError> {
    let row = peers::Entity::find_by_id(peer.to_string())
        .one(inner.reads())
        .await?;
    Ok(row.is_some_and(|row| row.session.is_some()))
}

/// Accepts a peer's reply. Returns `false` when no caller waits for it, or another peer was asked.
pub async fn answer(
    preheater: &Preheater,
    session: Uuid,
    question: Uuid,
    mut reply: Reply,
) -> Result<bool, SessionError> {
    let inner = &preheater.inner;
    let peer = sessions::live(inner, session).await?;
    reply.objects.truncate(QUESTION_DIGESTS);
    reply.pulls.truncate(REPLY_PULLS);
    Ok(inner.questions.take_in(peer.id, question, reply))
}
