//! Reads the system's time of day; the only code that does.

use std::time::{SystemTime, UNIX_EPOCH};

/// Returns milliseconds since 1970; 0 if the machine's clock is before that.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the clock that other code receives"
)]
pub fn unix_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
