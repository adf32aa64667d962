//! Delays between attempts: exponential with full jitter, so that simultaneous failures are not retried together.

use std::time::Duration;

/// The upper bound of the first delay, and of all delays.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    pub first: Duration,
    pub most: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            most: Duration::from_secs(60),
        }
    }
}

impl Backoff {
    /// Returns the longest delay after this attempt (the first is 1).
    pub fn bound(&self, attempt: u32) -> Duration {
        let doublings = attempt.saturating_sub(1).min(31);
        self.first.saturating_mul(1 << doublings).min(self.most)
    }

    /// Returns the delay after this attempt; `chance` picks the point between zero and the bound.
    pub fn delay(&self, attempt: u32, chance: u32) -> Duration {
        let share = f64::from(chance) / f64::from(u32::MAX);
        self.bound(attempt).mul_f64(share).min(self.bound(attempt))
    }

    /// Returns a random delay after this attempt.
    pub fn drawn(&self, attempt: u32) -> Duration {
        self.delay(attempt, rand::random())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_wait_is_longer_than_its_bound(
            first_ms in 0_u64..100_000, most_ms in 0_u64..10_000_000, attempt: u32, chance: u32,
        ) {
            let backoff = Backoff { first: Duration::from_millis(first_ms), most: Duration::from_millis(most_ms) };
            prop_assert!(backoff.delay(attempt, chance) <= backoff.bound(attempt));
            prop_assert!(backoff.bound(attempt) <= backoff.most);
        }

        #[test]
        fn more_attempts_never_wait_less(attempt in 0_u32..1000, chance: u32) {
            let backoff = Backoff::default();
            prop_assert!(backoff.delay(attempt, chance) <= backoff.delay(attempt + 1, chance));
        }

        #[test]
        fn chance_spreads_waits_over_the_whole_bound(attempt in 1_u32..100) {
            let backoff = Backoff::default();
            prop_assert_eq!(backoff.delay(attempt, 0), Duration::ZERO);
            prop_assert_eq!(backoff.delay(attempt, u32::MAX), backoff.bound(attempt));
        }
    }

    #[test]
    fn the_bound_doubles_until_the_most() {
        let bounds = [1, 2, 3, 6, 7, 100].map(|attempt| Backoff::default().bound(attempt).as_secs());
        assert_eq!(bounds, [1, 2, 4, 32, 60, 60]);
    }
}
