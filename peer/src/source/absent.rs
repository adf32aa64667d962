//! Peers that did not answer a moment ago: nobody waits for them twice.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A peer is not asked again for as long as this.
const PAUSE: Duration = Duration::from_secs(10);
/// Only who makes others wait is passed over: to be refused at once costs nothing.
const LONG: Duration = Duration::from_secs(1);
const REMEMBERED: usize = 1_024;

/// Clones share what they know.
#[derive(Clone, Default)]
pub(super) struct Absent(Arc<Mutex<HashMap<String, Instant>>>);

impl Absent {
    pub(super) fn is_away(&self, share_url: &str) -> bool {
        let away = self.lock();
        away.get(share_url).is_some_and(|since| since.elapsed() < PAUSE)
    }

    /// It did not answer for `waited`.
    pub(super) fn note(&self, share_url: &str, waited: Duration) {
        if waited < LONG {
            return;
        }
        let mut away = self.lock();
        if away.len() >= REMEMBERED {
            away.retain(|_, since| since.elapsed() < PAUSE);
        }
        if away.len() < REMEMBERED {
            away.insert(share_url.to_owned(), Instant::now());
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_made_us_wait_is_passed_over_and_who_refused_at_once_is_not() {
        let absent = Absent::default();
        absent.note("http://a:1", Duration::from_secs(5));
        absent.note("http://b:1", Duration::from_millis(2));
        assert!(absent.is_away("http://a:1"));
        assert!(!absent.is_away("http://b:1"));
    }
}
