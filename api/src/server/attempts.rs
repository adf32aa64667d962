//! Limits the attempts of an address at the join route: checking a token costs a write.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

const WINDOW_MS: i64 = 60_000;
/// Attempts of one address in a minute. A whole site may share one address.
const AT_MOST: u32 = 600;
/// Addresses that are remembered; beyond it all counts start again.
const KEPT: usize = 10_000;

/// Attempts by address, in the present minute.
#[derive(Default)]
pub(crate) struct Attempts(Mutex<HashMap<IpAddr, (i64, u32)>>);

impl Attempts {
    /// Returns `false` if this address has made too many attempts.
    pub(crate) fn note(&self, from: IpAddr, now_ms: i64) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KEPT && !known.contains_key(&from) {
            known.retain(|_, (began, _)| now_ms - *began < WINDOW_MS);
            if known.len() >= KEPT {
                known.clear();
            }
        }
        let (began, count) = known.entry(from).or_insert((now_ms, 0));
        if now_ms - *began >= WINDOW_MS || now_ms < *began {
            (*began, *count) = (now_ms, 0);
        }
        *count = count.saturating_add(1);
        *count <= AT_MOST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u32) -> IpAddr {
        IpAddr::V4(number.into())
    }

    #[test]
    fn an_address_that_knocks_too_often_waits_for_the_next_minute() {
        let attempts = Attempts::default();
        assert!((0..AT_MOST).all(|_| attempts.note(address(1), 0)));
        assert!(!attempts.note(address(1), WINDOW_MS - 1));
        assert!(attempts.note(address(2), 0), "another address is not held back");
        assert!(attempts.note(address(1), WINDOW_MS));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let attempts = Attempts::default();
        for number in 0..30_000 {
            attempts.note(address(number), 0);
        }
        assert!(attempts.0.lock().expect("whole").len() <= KEPT);
    }
}
