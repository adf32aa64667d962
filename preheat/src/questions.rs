//! Questions to peers: put up by somebody who waits, handed out with the peer's next call for work.
//!
//! **Invariant:** a question is there as long as its asker waits and no longer; one reply at most gets to the asker,
//! from the peer that was asked. What comes late, twice or from somebody else changes nothing.
//!
//! Non-goals: questions outlive no manager, and reach only peers that call this one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sea_orm::EntityTrait;
use tokio::sync::oneshot;
use tokio::time::timeout;
use uuid::Uuid;
use wire::{QUESTION_DIGESTS, Question, REPLY_PULLS, Reply};

use crate::fault::{SessionError, StorageError};
use crate::preheater::{Inner, Preheater, lane_of};
use crate::rows::peers;
use crate::sessions;

/// Questions that may be open at the same time, over all peers.
const OPEN_AT_MOST: usize = 256;

/// Why a question has no reply.
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

/// All open questions by id. A clone is the same board.
#[derive(Clone, Default)]
pub(crate) struct Board(Arc<Mutex<HashMap<Uuid, Open>>>);

struct Open {
    peer: Uuid,
    question: Question,
    /// The session that it was handed to: a new session of the same peer gets it again.
    handed_to: Option<Uuid>,
    reply: oneshot::Sender<Reply>,
}

/// A question that somebody waits for; dropping it takes it off the board.
struct Asked {
    board: Board,
    id: Uuid,
    reply: oneshot::Receiver<Reply>,
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.board.lock().remove(&self.id);
    }
}

impl Board {
    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Open>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// None: there is no room.
    fn put(&self, peer: Uuid, question: Question) -> Option<Asked> {
        let (id, (sender, reply)) = (question.id, oneshot::channel());
        let mut open = self.lock();
        if open.len() >= OPEN_AT_MOST {
            return None;
        }
        let question = Open {
            peer,
            question,
            handed_to: None,
            reply: sender,
        };
        open.insert(id, question);
        Some(Asked {
            board: self.clone(),
            id,
            reply,
        })
    }

    /// What this session of the peer has not been handed yet.
    pub(crate) fn hand_out(&self, peer: Uuid, session: Uuid) -> Vec<Question> {
        let mut open = self.lock();
        let news = open
            .values_mut()
            .filter(|open| open.peer == peer && open.handed_to != Some(session));
        news.map(|open| {
            open.handed_to = Some(session);
            open.question.clone()
        })
        .collect()
    }

    /// Whether somebody still waits for this reply, and this peer may give it.
    fn take_in(&self, peer: Uuid, question: Uuid, reply: Reply) -> bool {
        let mut open = self.lock();
        if open.get(&question).is_none_or(|open| open.peer != peer) {
            return false;
        }
        let asker = open.remove(&question);
        asker.is_some_and(|open| open.reply.send(reply).is_ok())
    }
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

/// A peer's reply. `false`: nobody waits for it, or it is not this peer's to give.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn question() -> Question {
        Question {
            id: Uuid::new_v4(),
            location: "https://harbor.lan/v2/team/app".to_owned(),
            tag: None,
            digests: Vec::new(),
            check: None,
        }
    }

    #[test]
    fn nothing_is_held_after_the_asker_left() {
        let board = Board::default();
        let asked = board.put(Uuid::nil(), question());
        assert_eq!(board.lock().len(), 1);
        drop(asked);
        assert!(board.lock().is_empty());
    }

    #[test]
    fn a_session_is_handed_a_question_once_and_the_next_session_gets_it_again() {
        let board = Board::default();
        let (peer, first, second) = (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
        let _asked = board.put(peer, question());
        assert_eq!(board.hand_out(peer, first).len(), 1);
        assert!(board.hand_out(peer, first).is_empty());
        assert_eq!(board.hand_out(peer, second).len(), 1);
        assert!(
            board.hand_out(Uuid::from_u128(9), second).is_empty(),
            "another peer"
        );
    }

    #[test]
    fn only_the_peer_that_was_asked_answers_and_only_once() {
        let board = Board::default();
        let (peer, stranger, question) = (Uuid::from_u128(1), Uuid::from_u128(2), question());
        let mut asked = board.put(peer, question.clone()).expect("room");
        assert!(!board.take_in(stranger, question.id, Reply::default()));
        assert!(board.take_in(peer, question.id, Reply::default()));
        assert!(!board.take_in(peer, question.id, Reply::default()));
        assert_eq!(asked.reply.try_recv(), Ok(Reply::default()));
    }

    #[test]
    fn the_board_is_bounded() {
        let board = Board::default();
        let asked: Vec<_> = (0..=OPEN_AT_MOST)
            .map(|_| board.put(Uuid::nil(), question()))
            .collect();
        assert!(asked.last().is_some_and(Option::is_none));
        drop(asked);
        assert!(board.put(Uuid::nil(), question()).is_some());
    }
}
