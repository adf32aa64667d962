//! Waits for a turn at a registry that serves only so many requests at once. Such a wait does not count as a try: the
//! time limit of the lot or of the reader ends it.
//!
//! **Invariant:** a registry that only ever answers 503 ends the fetch: see [`BUSY_LIMIT`].

use std::time::Duration;

use tokio::time::Instant;

use crate::source::SourceError;

/// All `max_connections` of the registry are in use.
const NO_CONNECTION: &str = "no_turn";
/// The registry refuses by count.
const TOO_MANY: &str = "too_many_at_once";
/// The registry answers 503 and does not say until when. That may be a failure.
const BUSY: &str = "busy";
const BUSY_LIMIT: Duration = Duration::from_secs(300);

/// The waits of one fetch.
#[derive(Default)]
pub(super) struct Turns {
    busy_since: Option<Instant>,
}

impl Turns {
    /// Notes the bytes that a request brought.
    pub(super) fn landed(&mut self, bytes: u64) {
        if bytes > 0 {
            self.busy_since = None;
        }
    }

    /// Whether the fault is only that it was not our turn.
    pub(super) fn waits_on(&mut self, fault: &SourceError, now: Instant) -> bool {
        match fault.word {
            NO_CONNECTION | TOO_MANY => true,
            BUSY => now.saturating_duration_since(*self.busy_since.get_or_insert(now)) < BUSY_LIMIT,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use wire::Side;

    use super::*;

    fn fault(word: &'static str) -> SourceError {
        SourceError {
            side: Side::Registry,
            word,
            passing: true,
            text: String::new(),
        }
    }

    #[test]
    fn a_registry_that_is_only_busy_ends_the_wait() {
        let (mut turns, now) = (Turns::default(), Instant::now());
        assert!(turns.waits_on(&fault(BUSY), now));
        let later = now + BUSY_LIMIT;
        assert!(!turns.waits_on(&fault(BUSY), later));
        assert!(
            turns.waits_on(&fault(TOO_MANY), later),
            "it says that others are served"
        );
        turns.landed(1);
        assert!(turns.waits_on(&fault(BUSY), later));
    }
}
