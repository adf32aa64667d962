//! A set of chunk numbers.

/// Chunk numbers. Takes one bit for each chunk up to the highest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ChunkSet {
    words: Vec<u64>,
}

const BITS: u64 = u64::BITS as u64;

impl ChunkSet {
    pub(crate) fn insert(&mut self, chunk: u64) {
        let Ok(word) = usize::try_from(chunk / BITS) else {
            return;
        };
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        if let Some(bits) = self.words.get_mut(word) {
            *bits |= 1 << (chunk % BITS);
        }
    }

    pub(crate) fn contains(&self, chunk: u64) -> bool {
        let word = usize::try_from(chunk / BITS).ok();
        word.and_then(|word| self.words.get(word))
            .is_some_and(|bits| bits & (1 << (chunk % BITS)) != 0)
    }

    /// The first chunk at or after `chunk` that is missing.
    pub(crate) fn first_missing_from(&self, chunk: u64) -> u64 {
        let mut at = chunk;
        while self.contains(at) {
            at += 1;
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_set_contains_exactly_what_was_inserted(chunks: BTreeSet<u16>, asked: u16) {
            let mut set = ChunkSet::default();
            for chunk in &chunks {
                set.insert(u64::from(*chunk));
            }
            prop_assert_eq!(set.contains(u64::from(asked)), chunks.contains(&asked));
            let is_there = |at: u64| u16::try_from(at).is_ok_and(|at| chunks.contains(&at));
            let missing = set.first_missing_from(u64::from(asked));
            prop_assert!(!is_there(missing));
            prop_assert!((u64::from(asked)..missing).all(is_there));
        }
    }
}
