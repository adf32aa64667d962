//! What registries refused a credential, with a 401 or 403 of their own.
//!
//! **Invariant:** for [`REMEMBERED`], or until the registry says yes again, a refusal outweighs every yes and every
//! record that is older, also one that is read only later. A refusal of an account is no refusal of anybody else;
//! only one of the anonymous caller outweighs a public record.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use oci::Digest;

use super::grants::Place;

const REMEMBERED: Duration = Duration::from_secs(3_600);
const KEPT: usize = 10_000;

/// Refusals by who and where; without a digest: of the whole repository.
#[derive(Default)]
pub(super) struct Refused(Mutex<HashMap<(Place, Option<Digest>), i64>>);

impl Refused {
    pub(super) fn remember(&self, place: Place, digest: Option<Digest>, now_ms: i64) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KEPT {
            known.retain(|_, at_ms| is_remembered(*at_ms, now_ms));
        }
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert((place, digest), now_ms);
    }

    /// The registry has just said yes.
    pub(super) fn end(&self, place: &Place, digest: &Digest) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_empty() {
            return;
        }
        known.remove(&(place.clone(), None));
        known.remove(&(place.clone(), Some(digest.clone())));
    }

    /// When the registry last refused this caller this object, or all of the repository (Unix milliseconds).
    pub(super) fn since(&self, place: &Place, digest: &Digest, now_ms: i64) -> Option<i64> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_empty() {
            return None;
        }
        [None, Some(digest.clone())]
            .into_iter()
            .filter_map(|digest| known.get(&(place.clone(), digest)).copied())
            .filter(|at_ms| is_remembered(*at_ms, now_ms))
            .max()
    }
}

fn is_remembered(at_ms: i64, now_ms: i64) -> bool {
    let age = u128::try_from(now_ms.saturating_sub(at_ms)).unwrap_or(0);
    age <= REMEMBERED.as_millis()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::grants::tests::place;

    #[test]
    fn a_refusal_lasts_an_hour_or_until_a_yes() {
        let (refused, ann) = (Refused::default(), place("ann", "a"));
        let (one, other) = (Digest::of(b"1"), Digest::of(b"2"));
        refused.remember(ann.clone(), Some(one.clone()), 5);
        assert_eq!(refused.since(&ann, &one, 3_600_005), Some(5));
        assert_eq!(refused.since(&ann, &one, 3_600_006), None);
        assert_eq!(refused.since(&ann, &other, 5), None);
        assert_eq!(refused.since(&place("bob", "a"), &one, 5), None);
        refused.end(&ann, &one);
        assert_eq!(refused.since(&ann, &one, 5), None);
    }

    #[test]
    fn a_refusal_of_the_repository_is_one_of_each_object() {
        let (refused, ann, one) = (Refused::default(), place("ann", "a"), Digest::of(b"1"));
        refused.remember(ann.clone(), None, 5);
        assert_eq!(refused.since(&ann, &one, 5), Some(5));
        assert_eq!(refused.since(&place("ann", "b"), &one, 5), None);
    }

    #[test]
    fn the_memory_has_a_bound() {
        let (refused, ann) = (Refused::default(), place("ann", "a"));
        for number in 0..=KEPT {
            refused.remember(ann.clone(), Some(Digest::of(&number.to_be_bytes())), 5);
        }
        assert!(refused.0.lock().expect("not poisoned").len() <= KEPT);
    }
}
