//! How long to wait before the next attempt: doubling, with full jitter, so that many who failed together do not
//! come back together.

use std::time::Duration;

/// The first wait's upper bound, and the bound of all.
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
    /// The longest that one may wait after this attempt (the first is 1).
    pub fn bound(&self, attempt: u32) -> Duration {
        let doublings = attempt.saturating_sub(1).min(31);
        self.first.saturating_mul(1 << doublings).min(self.most)
    }

    /// A pure function: `chance` picks the point between nothing and the bound.
    pub fn delay(&self, attempt: u32, chance: u32) -> Duration {
        let share = f64::from(chance) / f64::from(u32::MAX);
        self.bound(attempt).mul_f64(share).min(self.bound(attempt))
    }

    /// The same with a drawn number.
    pub fn drawn(&self, attempt: u32) -> Duration {
        self.delay(attempt, rand::random())
    }
}
