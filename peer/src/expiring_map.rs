//! A bounded map whose entries end at a time of their own.
//!
//! **Invariant:** it never holds more than `bound` entries, and never returns an expired one. When it is full,
//! the entry that ends first makes room. Time is handed in: an [`Instant`], or any other number that grows.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Values by key, each until its end.
pub(crate) struct ExpiringMap<K, V, T = Instant> {
    bound: usize,
    entries: Mutex<Entries<K, V, T>>,
}

struct Entries<K, V, T> {
    values: HashMap<K, (V, EndKey<T>)>,
    by_end: BTreeMap<EndKey<T>, K>,
    inserted: u64,
}

/// An entry's end, and the number of its insertion: many entries may end at one time.
type EndKey<T> = (T, u64);

impl<K: Eq + Hash + Clone, V: Clone, T: Ord + Copy> ExpiringMap<K, V, T> {
    pub(crate) fn new(bound: usize) -> Self {
        Self {
            bound,
            entries: Mutex::new(Entries {
                values: HashMap::new(),
                by_end: BTreeMap::new(),
                inserted: 0,
            }),
        }
    }

    /// Keeps the value until `end`, in place of an older one.
    pub(crate) fn insert(&self, key: K, value: V, end: T, now: T) {
        let mut entries = self.entries.lock();
        entries.remove(&key);
        entries.make_room(self.bound, now);
        entries.inserted += 1;
        let end = (end, entries.inserted);
        entries.by_end.insert(end, key.clone());
        entries.values.insert(key, (value, end));
    }

    /// Returns the value, unless it has expired.
    pub(crate) fn get(&self, key: &K, now: T) -> Option<V> {
        let entries = self.entries.lock();
        let (value, (end, _)) = entries.values.get(key)?;
        (now < *end).then(|| value.clone())
    }

    pub(crate) fn contains(&self, key: &K, now: T) -> bool {
        self.get(key, now).is_some()
    }

    pub(crate) fn remove(&self, key: &K) {
        self.entries.lock().remove(key);
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries.lock().values.len()
    }
}

impl<K: Eq + Hash, V, T: Ord + Copy> Entries<K, V, T> {
    fn remove(&mut self, key: &K) {
        if let Some((_, end)) = self.values.remove(key) {
            self.by_end.remove(&end);
        }
    }

    /// Removes what has ended, then what ends first, until one more entry fits.
    fn make_room(&mut self, bound: usize, now: T) {
        while let Some(first) = self.by_end.first_entry() {
            let has_ended = first.key().0 <= now;
            if !has_ended && self.values.len() < bound {
                return;
            }
            self.values.remove(&first.remove());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn map(bound: usize) -> ExpiringMap<u8, u8, u64> {
        ExpiringMap::new(bound)
    }

    #[test]
    fn an_entry_lasts_until_its_end() {
        let map = map(10);
        map.insert(1, 7, 5, 0);
        assert_eq!(map.get(&1, 4), Some(7));
        assert_eq!(map.get(&1, 5), None);
        assert_eq!(map.get(&2, 0), None);
    }

    #[test]
    fn a_new_value_replaces_the_old_one_and_its_end() {
        let map = map(10);
        map.insert(1, 7, 5, 0);
        map.insert(1, 8, 3, 0);
        assert_eq!(map.get(&1, 2), Some(8));
        assert_eq!(map.get(&1, 3), None);
        map.remove(&1);
        assert_eq!((map.get(&1, 2), map.len()), (None, 0));
    }

    #[test]
    fn the_entry_that_ends_first_makes_room() {
        let map = map(2);
        map.insert(1, 1, 9, 0);
        map.insert(2, 2, 5, 0);
        map.insert(3, 3, 7, 0);
        assert_eq!([1, 2, 3].map(|key| map.get(&key, 0)), [Some(1), None, Some(3)]);
    }

    #[test]
    fn entries_that_ended_are_removed_with_the_next_insertion() {
        let map = map(10);
        for key in 0..5 {
            map.insert(key, key, u64::from(key) + 1, 0);
        }
        map.insert(9, 9, 100, 4);
        assert_eq!(map.len(), 2);
    }

    proptest! {
        /// As a plain list would behave.
        #[test]
        fn it_holds_the_newest_value_of_each_key_until_its_end(
            steps in proptest::collection::vec((0_u8..6, any::<u8>(), 1_u64..9), 0..60),
        ) {
            let map = map(6);
            let mut expected = HashMap::new();
            for (now, (key, value, ttl)) in (0_u64..).zip(steps) {
                map.insert(key, value, now + ttl, now);
                expected.insert(key, (value, now + ttl));
                for (key, (value, end)) in &expected {
                    prop_assert_eq!(map.get(key, now), (now < *end).then_some(*value));
                }
            }
        }

        #[test]
        fn it_never_holds_more_than_its_bound(
            bound in 1_usize..5,
            steps in proptest::collection::vec((any::<u8>(), 1_u64..9), 0..60),
        ) {
            let map = map(bound);
            for (now, (key, ttl)) in (0_u64..).zip(steps) {
                map.insert(key, 0, now + ttl, now);
                prop_assert!(map.len() <= bound);
                let entries = map.entries.lock();
                prop_assert_eq!(entries.values.len(), entries.by_end.len());
            }
        }
    }
}
