//! Measures whether a parent is so slow that the registry is the better source.

use std::time::Duration;

use tokio::time::Instant;

/// The window over which the rate is measured.
const WINDOW: Duration = Duration::from_secs(4);
/// The least bytes in a window. A local network delivers more.
const ENOUGH: u64 = 8 * 1000 * 1000;

pub(super) struct Pace {
    since: Instant,
    bytes: u64,
}

impl Pace {
    pub(super) fn begin() -> Self {
        Self {
            since: Instant::now(),
            bytes: 0,
        }
    }

    /// Adds received bytes. At the end of each window, returns whether they were too few.
    pub(super) fn is_too_slow(&mut self, bytes: u64) -> bool {
        self.bytes += bytes;
        let passed = self.since.elapsed();
        if passed < WINDOW {
            return false;
        }
        let too_slow = is_slow(self.bytes, passed);
        *self = Self::begin();
        too_slow
    }
}

fn is_slow(bytes: u64, passed: Duration) -> bool {
    let enough = u128::from(ENOUGH) * passed.as_millis() / WINDOW.as_millis();
    u128::from(bytes) < enough
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_megabytes_a_second_are_enough() {
        assert!(is_slow(4_000_000, Duration::from_secs(4)));
        assert!(!is_slow(8_000_000, Duration::from_secs(4)));
        assert!(is_slow(8_000_000, Duration::from_secs(8)));
        assert!(!is_slow(100_000_000, Duration::from_secs(5)));
    }
}
