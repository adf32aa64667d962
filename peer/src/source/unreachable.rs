//! Remembers peers that did not answer recently, so that later requests do not wait for them. A peer that answered
//! another request meanwhile is only busy: skipping a busy seed would make a second one ask the registry.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

/// How long a peer counts as unreachable.
const PAUSE: Duration = Duration::from_secs(10);
/// Shorter failures do not count: an immediate refusal costs nothing.
const LONG: Duration = Duration::from_secs(1);
const REMEMBERED: usize = 1_024;

/// Clones share the state.
#[derive(Clone, Default)]
pub(super) struct UnreachablePeers(Arc<Mutex<HashMap<String, LastContact>>>);

/// The last contact with a peer.
#[derive(Clone, Copy)]
enum LastContact {
    Answered(Instant),
    NoAnswer(Instant),
}

impl UnreachablePeers {
    pub(super) fn is_unreachable(&self, share_url: &str, now: Instant) -> bool {
        let contacts = self.lock();
        let last = contacts.get(share_url);
        last.is_some_and(
            |last| matches!(last, LastContact::NoAnswer(since) if now.duration_since(*since) < PAUSE),
        )
    }

    /// The peer answered, with any status.
    pub(super) fn answered(&self, share_url: &str, now: Instant) {
        self.keep(share_url, LastContact::Answered(now), now);
    }

    /// A request that was sent at `began` got no answer until `now`.
    pub(super) fn no_answer(&self, share_url: &str, began: Instant, now: Instant) {
        if now.duration_since(began) >= LONG && !self.answered_since(share_url, began) {
            self.keep(share_url, LastContact::NoAnswer(now), now);
        }
    }

    fn answered_since(&self, share_url: &str, began: Instant) -> bool {
        let contacts = self.lock();
        let last = contacts.get(share_url);
        last.is_some_and(|last| matches!(last, LastContact::Answered(at) if *at >= began))
    }

    fn keep(&self, share_url: &str, last: LastContact, now: Instant) {
        let mut contacts = self.lock();
        if contacts.len() >= REMEMBERED {
            contacts.retain(|_, last| now.duration_since(last.at()) < PAUSE);
        }
        if contacts.len() < REMEMBERED || contacts.contains_key(share_url) {
            contacts.insert(share_url.to_owned(), last);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, LastContact>> {
        self.0.lock()
    }
}

impl LastContact {
    fn at(self) -> Instant {
        match self {
            Self::Answered(at) | Self::NoAnswer(at) => at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: &str = "http://a:1";
    const LIMIT: Duration = Duration::from_secs(5);

    #[test]
    fn a_peer_that_times_out_is_unreachable_and_one_that_refuses_at_once_is_not() {
        let (peers, began) = (UnreachablePeers::default(), Instant::now());
        let ended = began + LIMIT;
        peers.no_answer(PEER, began, ended);
        peers.no_answer("http://b:1", ended, ended + Duration::from_millis(2));
        assert!(peers.is_unreachable(PEER, ended));
        assert!(!peers.is_unreachable(PEER, ended + PAUSE));
        assert!(!peers.is_unreachable("http://b:1", ended));
    }

    #[test]
    fn a_busy_peer_that_answered_another_request_is_not_unreachable() {
        let (peers, began) = (UnreachablePeers::default(), Instant::now());
        peers.answered(PEER, began + LIMIT / 2);
        peers.no_answer(PEER, began, began + LIMIT);
        assert!(!peers.is_unreachable(PEER, began + LIMIT));
    }

    #[test]
    fn a_peer_that_times_out_after_its_last_answer_is_unreachable() {
        let (peers, began) = (UnreachablePeers::default(), Instant::now());
        peers.answered(PEER, began);
        peers.no_answer(PEER, began + LIMIT, began + LIMIT * 2);
        assert!(peers.is_unreachable(PEER, began + LIMIT * 2));
    }

    #[test]
    fn an_answer_makes_a_peer_reachable() {
        let (peers, began) = (UnreachablePeers::default(), Instant::now());
        peers.no_answer(PEER, began, began + LIMIT);
        peers.answered(PEER, began + LIMIT);
        assert!(!peers.is_unreachable(PEER, began + LIMIT));
    }

    #[test]
    fn the_number_of_remembered_peers_is_bounded() {
        let (peers, began) = (UnreachablePeers::default(), Instant::now());
        for number in 0..REMEMBERED * 2 {
            peers.answered(&number.to_string(), began);
        }
        assert_eq!(peers.lock().len(), REMEMBERED);
    }
}
