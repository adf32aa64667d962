//! Refusals of registries: a 401 or 403 to a credential.
//!
//! **Invariant:** for [`REMEMBERED_MS`], or until the registry grants again, a refusal outweighs every older grant and record,
//! also one that arrives later. It concerns one account only. Only a refusal of the anonymous caller outweighs a public
//! record.

use oci::Digest;

use super::grants::CallerLocation;
use crate::expiring_map::ExpiringMap;

const REMEMBERED_MS: i64 = 3_600_000;
const KEPT: usize = 10_000;

/// Refusals by caller and location. Without a digest, one concerns the whole repository.
pub(super) struct RegistryRefusals(ExpiringMap<(CallerLocation, Option<Digest>), i64, i64>);

impl Default for RegistryRefusals {
    fn default() -> Self {
        Self(ExpiringMap::new(KEPT))
    }
}

impl RegistryRefusals {
    pub(super) fn remember(&self, at: CallerLocation, digest: Option<Digest>, now_ms: i64) {
        let end_ms = now_ms.saturating_add(REMEMBERED_MS);
        self.0.insert((at, digest), now_ms, end_ms, now_ms);
    }

    /// The registry has just granted the object.
    pub(super) fn end(&self, at: &CallerLocation, digest: &Digest) {
        self.0.remove(&(at.clone(), None));
        self.0.remove(&(at.clone(), Some(digest.clone())));
    }

    /// Returns when the registry last refused this caller the object or the whole repository (Unix milliseconds).
    pub(super) fn since(&self, at: &CallerLocation, digest: &Digest, now_ms: i64) -> Option<i64> {
        [None, Some(digest.clone())]
            .into_iter()
            .filter_map(|digest| self.0.get(&(at.clone(), digest), now_ms))
            .max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::grants::tests::caller_at;

    #[test]
    fn a_refusal_lasts_an_hour_or_until_a_grant() {
        let (refused, ann) = (RegistryRefusals::default(), caller_at("ann", "a"));
        let (one, other) = (Digest::of(b"1"), Digest::of(b"2"));
        refused.remember(ann.clone(), Some(one.clone()), 5);
        assert_eq!(refused.since(&ann, &one, 3_600_004), Some(5));
        assert_eq!(refused.since(&ann, &one, 3_600_005), None);
        assert_eq!(refused.since(&ann, &other, 5), None);
        assert_eq!(refused.since(&caller_at("bob", "a"), &one, 5), None);
        refused.end(&ann, &one);
        assert_eq!(refused.since(&ann, &one, 5), None);
    }

    #[test]
    fn a_refusal_of_the_repository_concerns_each_object() {
        let (refused, ann, one) = (
            RegistryRefusals::default(),
            caller_at("ann", "a"),
            Digest::of(b"1"),
        );
        refused.remember(ann.clone(), None, 5);
        assert_eq!(refused.since(&ann, &one, 5), Some(5));
        assert_eq!(refused.since(&caller_at("ann", "b"), &one, 5), None);
    }
}
