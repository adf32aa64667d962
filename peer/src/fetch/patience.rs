//! Decides whether a source that broke off is asked again. A value: tries, bytes and times are handed in.
//!
//! **Invariant:** a try that brought bytes is never counted. So a large object over a bad line arrives, however often the
//! line breaks. It ends after a few tries in succession without a byte, or when the tries of five minutes together
//! brought less than 64 KiB a second.

use std::time::Duration;

use tokio::time::Instant;

/// Successive tries without a byte.
const FRUITLESS_TRIES: u32 = 3;
/// The first pause between two tries. It doubles with each try that brought little.
const PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
/// A try that brought this much is followed by the shortest pause.
const MUCH: u64 = 256 * 1024;
/// The window over which the rate is measured, and the least bytes per second.
const WINDOW: Duration = Duration::from_secs(300);
const LEAST_RATE: u64 = 64 * 1024;

/// What is known of one source's tries for one object.
#[derive(Debug, Clone)]
pub(super) struct Patience {
    fruitless: u32,
    /// Successive tries that brought little.
    meagre: u32,
    window: Instant,
    in_window: u64,
    /// A configured bandwidth makes transfers slow on purpose.
    may_be_slow: bool,
}

/// What to do after a try that broke off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NextTry {
    After(Duration),
    /// Too many tries in succession brought nothing.
    Fruitless,
    /// It was slower than 64 KiB/s for five minutes.
    TooSlow,
    /// The same request would fail again.
    Hopeless,
}

impl Patience {
    pub(super) fn begin(now: Instant, may_be_slow: bool) -> Self {
        Self {
            fruitless: 0,
            meagre: 0,
            window: now,
            in_window: 0,
            may_be_slow,
        }
    }

    /// Counts a try that brought `bytes` and then broke off. `passing`: the same request may succeed soon.
    pub(super) fn after(&mut self, bytes: u64, passing: bool, now: Instant) -> NextTry {
        self.fruitless = if bytes > 0 { 0 } else { self.fruitless + 1 };
        self.meagre = if bytes >= MUCH { 0 } else { self.meagre + 1 };
        self.in_window = self.in_window.saturating_add(bytes);
        if !passing {
            return NextTry::Hopeless;
        }
        if self.fruitless >= FRUITLESS_TRIES {
            return NextTry::Fruitless;
        }
        if self.is_too_slow(now) {
            return NextTry::TooSlow;
        }
        let doubled = 2_u32.saturating_pow(self.meagre.min(16));
        NextTry::After(PAUSE.saturating_mul(doubled).min(LONGEST_PAUSE))
    }

    fn is_too_slow(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.window);
        if passed < WINDOW {
            return false;
        }
        let least = u128::from(LEAST_RATE) * passed.as_millis() / 1_000;
        let is_slow = u128::from(self.in_window) < least;
        (self.window, self.in_window) = (now, 0);
        is_slow && !self.may_be_slow
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn tries_that_bring_bytes_are_not_counted() {
        let mut now = Instant::now();
        let mut patience = Patience::begin(now, false);
        for _ in 0..10_000 {
            now += 8 * SECOND;
            assert_eq!(patience.after(1 << 20, true, now), NextTry::After(PAUSE));
        }
    }

    #[tokio::test]
    async fn three_tries_in_succession_without_a_byte_are_the_end() {
        let now = Instant::now();
        let mut patience = Patience::begin(now, false);
        let mut after = |bytes| patience.after(bytes, true, now);
        assert_eq!(after(0), NextTry::After(2 * PAUSE));
        assert_eq!(after(0), NextTry::After(4 * PAUSE));
        assert_eq!(after(1), NextTry::After(8 * PAUSE));
        assert!(matches!(after(0), NextTry::After(_)));
        assert!(matches!(after(0), NextTry::After(_)));
        assert_eq!(after(0), NextTry::Fruitless);
    }

    #[tokio::test]
    async fn a_source_that_only_trickles_ends_after_five_minutes() {
        let begin = Instant::now();
        for (may_be_slow, end) in [(false, NextTry::TooSlow), (true, NextTry::After(LONGEST_PAUSE))] {
            let mut patience = Patience::begin(begin, may_be_slow);
            for second in 1..300 {
                let next = patience.after(1_000, true, begin + second * SECOND);
                assert!(matches!(next, NextTry::After(_)), "{second}");
            }
            assert_eq!(patience.after(1_000, true, begin + WINDOW), end);
        }
    }

    #[tokio::test]
    async fn a_fault_that_does_not_pass_is_the_end() {
        let now = Instant::now();
        assert_eq!(
            Patience::begin(now, false).after(1 << 30, false, now),
            NextTry::Hopeless
        );
    }

    proptest! {
        #[test]
        fn the_tries_of_any_source_come_to_an_end(bytes in prop::collection::vec(0_u64..LEAST_RATE / 8, 1..64)) {
            let mut now = Instant::now();
            let mut patience = Patience::begin(now, false);
            let ended = bytes.iter().cycle().take(10_000).any(|bytes| match patience.after(*bytes, true, now) {
                NextTry::After(pause) => {
                    now += pause;
                    false
                }
                _ => true,
            });
            prop_assert!(ended);
        }
    }
}
