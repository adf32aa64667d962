//! Servers that were found silent just now: they are not waited for again for a while.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

const REMEMBERED: Duration = Duration::from_secs(10);
const KEPT: usize = 1_000;

#[derive(Default)]
pub(crate) struct Silence {
    until: Mutex<HashMap<String, Instant>>,
}

impl Silence {
    pub(crate) fn begin(&self, server: &str) {
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        if until.len() >= KEPT {
            until.clear();
        }
        until.insert(server.to_owned(), Instant::now() + REMEMBERED);
    }

    pub(crate) fn lasts(&self, server: &str) -> bool {
        self.lasts_at(server, Instant::now())
    }

    fn lasts_at(&self, server: &str, now: Instant) -> bool {
        let until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        until.get(server).is_some_and(|until| now < *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_registry_is_asked_again_after_a_while() {
        let silence = Silence::default();
        assert!(!silence.lasts("https://reg.lan"));
        silence.begin("https://reg.lan");
        assert!(silence.lasts("https://reg.lan"));
        assert!(!silence.lasts_at("https://reg.lan", Instant::now() + REMEMBERED));
    }
}
