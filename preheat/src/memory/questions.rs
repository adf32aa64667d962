//! The open questions to peers.
//!
//! **Invariant:** a question is on the board as long as its asker waits; at most one reply reaches the asker, from the
//! peer
//! that was asked. A late, repeated or foreign reply changes nothing.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::oneshot;
use uuid::Uuid;
use wire::{Question, Reply};

/// Questions that may be open at the same time, over all peers.
const OPEN_AT_MOST: usize = 256;

/// All open questions by id. A clone is the same board.
#[derive(Clone, Default)]
pub(crate) struct QuestionBoard(Arc<Mutex<HashMap<Uuid, OpenQuestion>>>);

struct OpenQuestion {
    peer: Uuid,
    question: Question,
    /// The session that it was handed to: a new session of the same peer gets it again.
    handed_to: Option<Uuid>,
    reply: oneshot::Sender<Reply>,
}

/// An open question with a waiting caller; dropping it removes it from the board.
pub(crate) struct PendingReply {
    board: QuestionBoard,
    id: Uuid,
    pub(crate) reply: oneshot::Receiver<Reply>,
}

impl Drop for PendingReply {
    fn drop(&mut self) {
        self.board.lock().remove(&self.id);
    }
}

impl QuestionBoard {
    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, OpenQuestion>> {
        self.0.lock()
    }

    /// Returns none when the board is full.
    pub(crate) fn put(&self, peer: Uuid, question: Question) -> Option<PendingReply> {
        let (id, (sender, reply)) = (question.id, oneshot::channel());
        let mut open = self.lock();
        if open.len() >= OPEN_AT_MOST {
            return None;
        }
        let question = OpenQuestion {
            peer,
            question,
            handed_to: None,
            reply: sender,
        };
        open.insert(id, question);
        Some(PendingReply {
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

    /// Returns whether a caller waits for this reply from this peer.
    pub(crate) fn take_in(&self, peer: Uuid, question: Uuid, reply: Reply) -> bool {
        let mut open = self.lock();
        if open.get(&question).is_none_or(|open| open.peer != peer) {
            return false;
        }
        let asker = open.remove(&question);
        asker.is_some_and(|open| open.reply.send(reply).is_ok())
    }
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
        let board = QuestionBoard::default();
        let asked = board.put(Uuid::nil(), question());
        assert_eq!(board.lock().len(), 1);
        drop(asked);
        assert!(board.lock().is_empty());
    }

    #[test]
    fn a_session_is_handed_a_question_once_and_the_next_session_gets_it_again() {
        let board = QuestionBoard::default();
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
        let board = QuestionBoard::default();
        let (peer, stranger, question) = (Uuid::from_u128(1), Uuid::from_u128(2), question());
        let mut asked = board.put(peer, question.clone()).expect("room");
        assert!(!board.take_in(stranger, question.id, Reply::default()));
        assert!(board.take_in(peer, question.id, Reply::default()));
        assert!(!board.take_in(peer, question.id, Reply::default()));
        assert_eq!(asked.reply.try_recv(), Ok(Reply::default()));
    }

    #[test]
    fn the_board_is_bounded() {
        let board = QuestionBoard::default();
        let asked: Vec<_> = (0..=OPEN_AT_MOST)
            .map(|_| board.put(Uuid::nil(), question()))
            .collect();
        assert!(asked.last().is_some_and(Option::is_none));
        drop(asked);
        assert!(board.put(Uuid::nil(), question()).is_some());
    }
}
