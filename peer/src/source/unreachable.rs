//! Peers that did not answer a moment ago: nobody waits for them twice. Who answered somebody else meanwhile is
//! there, only busy: to pass over a busy seed is to have a second one ask the registry.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

/// A peer is not asked again for as long as this.
const PAUSE: Duration = Duration::from_secs(10);
/// Only who makes others wait is passed over: to be refused at once costs nothing.
const LONG: Duration = Duration::from_secs(1);
const REMEMBERED: usize = 1_024;

/// Clones share what they know.
#[derive(Clone, Default)]
pub(super) struct Absent(Arc<Mutex<HashMap<String, Heard>>>);

/// What a peer last did.
#[derive(Clone, Copy)]
enum Heard {
    Answered(Instant),
    Silent(Instant),
}

impl Absent {
    pub(super) fn is_away(&self, share_url: &str, now: Instant) -> bool {
        let heard = self.lock();
        let last = heard.get(share_url);
        last.is_some_and(|last| matches!(last, Heard::Silent(since) if now.duration_since(*since) < PAUSE))
    }

    /// It answered, whatever it said.
    pub(super) fn answered(&self, share_url: &str, now: Instant) {
        self.keep(share_url, Heard::Answered(now), now);
    }

    /// A call of `began` got no answer until `now`.
    pub(super) fn silent(&self, share_url: &str, began: Instant, now: Instant) {
        if now.duration_since(began) >= LONG && !self.answered_since(share_url, began) {
            self.keep(share_url, Heard::Silent(now), now);
        }
    }

    fn answered_since(&self, share_url: &str, began: Instant) -> bool {
        let heard = self.lock();
        let last = heard.get(share_url);
        last.is_some_and(|last| matches!(last, Heard::Answered(at) if *at >= began))
    }

    fn keep(&self, share_url: &str, last: Heard, now: Instant) {
        let mut heard = self.lock();
        if heard.len() >= REMEMBERED {
            heard.retain(|_, last| now.duration_since(last.at()) < PAUSE);
        }
        if heard.len() < REMEMBERED || heard.contains_key(share_url) {
            heard.insert(share_url.to_owned(), last);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Heard>> {
        self.0.lock()
    }
}

impl Heard {
    fn at(self) -> Instant {
        match self {
            Self::Answered(at) | Self::Silent(at) => at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: &str = "http://a:1";
    const LIMIT: Duration = Duration::from_secs(5);

    #[test]
    fn who_made_us_wait_is_passed_over_and_who_refused_at_once_is_not() {
        let (absent, began) = (Absent::default(), Instant::now());
        let ended = began + LIMIT;
        absent.silent(PEER, began, ended);
        absent.silent("http://b:1", ended, ended + Duration::from_millis(2));
        assert!(absent.is_away(PEER, ended));
        assert!(!absent.is_away(PEER, ended + PAUSE));
        assert!(!absent.is_away("http://b:1", ended));
    }

    #[test]
    fn a_busy_peer_that_answered_somebody_meanwhile_is_not_passed_over() {
        let (absent, began) = (Absent::default(), Instant::now());
        absent.answered(PEER, began + LIMIT / 2);
        absent.silent(PEER, began, began + LIMIT);
        assert!(!absent.is_away(PEER, began + LIMIT));
    }

    #[test]
    fn a_peer_that_fell_silent_after_its_last_answer_is_passed_over() {
        let (absent, began) = (Absent::default(), Instant::now());
        absent.answered(PEER, began);
        absent.silent(PEER, began + LIMIT, began + LIMIT * 2);
        assert!(absent.is_away(PEER, began + LIMIT * 2));
    }

    #[test]
    fn an_answer_ends_the_absence() {
        let (absent, began) = (Absent::default(), Instant::now());
        absent.silent(PEER, began, began + LIMIT);
        absent.answered(PEER, began + LIMIT);
        assert!(!absent.is_away(PEER, began + LIMIT));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (absent, began) = (Absent::default(), Instant::now());
        for number in 0..REMEMBERED * 2 {
            absent.answered(&number.to_string(), began);
        }
        assert_eq!(absent.lock().len(), REMEMBERED);
    }
}
