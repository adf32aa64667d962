//! Findings of spot checks that were not acted on, for people.
//!
//! **Invariant:** bounded; a finding is shown for a day, at the manager that made it.

use std::collections::HashMap;

use parking_lot::{Mutex, MutexGuard};
use uuid::Uuid;

const SHOWN_MS: i64 = 24 * 3_600 * 1_000;
const AT_MOST: usize = 1_000;

/// The last finding of each peer.
#[derive(Default)]
pub(crate) struct KnownFindings(Mutex<HashMap<Uuid, SpotCheckFinding>>);

struct SpotCheckFinding {
    at_ms: i64,
    text: String,
}

impl KnownFindings {
    pub(crate) fn note(&self, peer: Uuid, text: String, now_ms: i64) {
        let mut known = self.lock();
        known.retain(|_, finding| now_ms - finding.at_ms < SHOWN_MS);
        if known.len() < AT_MOST || known.contains_key(&peer) {
            known.insert(peer, SpotCheckFinding { at_ms: now_ms, text });
        }
    }

    pub(crate) fn of(&self, peer: Uuid, now_ms: i64) -> Option<String> {
        let known = self.lock();
        let finding = known.get(&peer)?;
        (now_ms - finding.at_ms < SHOWN_MS).then(|| finding.text.clone())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, SpotCheckFinding>> {
        self.0.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_shown_for_a_day_and_there_are_not_too_many() {
        let findings = KnownFindings::default();
        let peer = Uuid::from_u128;
        findings.note(peer(0), "first".to_owned(), 0);
        assert_eq!(findings.of(peer(0), SHOWN_MS - 1).as_deref(), Some("first"));
        assert_eq!(findings.of(peer(0), SHOWN_MS), None);
        for number in 1..=2_000 {
            findings.note(peer(number), String::new(), SHOWN_MS);
        }
        assert_eq!(findings.lock().len(), AT_MOST);
    }
}
