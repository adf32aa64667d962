//! Counts the callers that wrote recently.
//!
//! On a machine with few cores, background work slows down waiting callers. So workers check this count before they
//! claim, and wait briefly while many callers write.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

const WINDOW: Duration = Duration::from_millis(50);
/// In this window and the previous one: a hundred a second.
const MANY: u32 = 10;
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// The longest wait of one call.
const PATIENCE: Duration = Duration::from_millis(500);

/// A count of callers in short windows.
#[derive(Default)]
pub(crate) struct CallerCount(Mutex<Counted>);

#[derive(Default)]
struct Counted {
    began: Option<Instant>,
    now: u32,
    before: u32,
}

impl CallerCount {
    pub(crate) fn another(&self) {
        self.count(1);
    }

    pub(crate) async fn give_way(&self) {
        let until = Instant::now() + PATIENCE;
        while self.count(0) >= MANY && Instant::now() < until {
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Adds to the current window and returns the recent count.
    fn count(&self, more: u32) -> u32 {
        let mut counted = self.0.lock();
        counted.roll(Instant::now());
        counted.now = counted.now.saturating_add(more);
        counted.now.saturating_add(counted.before)
    }
}

impl Counted {
    fn roll(&mut self, at: Instant) {
        let began = *self.began.get_or_insert(at);
        let age = at.saturating_duration_since(began);
        if age >= WINDOW {
            self.before = if age < WINDOW * 2 { self.now } else { 0 };
            self.now = 0;
            self.began = Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_callers_do_not_count() {
        let mut counted = Counted::default();
        let begin = Instant::now();
        counted.roll(begin);
        counted.now = 7;
        counted.roll(begin + WINDOW);
        assert_eq!((counted.before, counted.now), (7, 0));
        counted.roll(begin + WINDOW * 4);
        assert_eq!((counted.before, counted.now), (0, 0));
    }

    #[tokio::test]
    async fn giving_way_is_bounded_and_skipped_when_few_callers_write() {
        let callers = CallerCount::default();
        callers.another();
        let quick = tokio::time::timeout(Duration::from_secs(30), callers.give_way()).await;
        assert!(quick.is_ok());
        (0..1_000).for_each(|_| callers.another());
        let patient = tokio::time::timeout(Duration::from_secs(30), callers.give_way()).await;
        assert!(patient.is_ok());
    }
}
