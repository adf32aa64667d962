//! The parts of an object that readers of a fetch need, or the whole.
//!
//! Order: parts that readers wait for, then objects of preheats, then bytes ahead of readers.
//!
//! **Invariant:** a part is needed only while its reader exists, and at most [`AHEAD`] further: few bytes are
//! fetched for a range that its client abandons.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use store::{CHUNK, PartialView, last_chunk_begins};
use tokio::sync::Notify;

use crate::limits::Class;

/// Bytes that are fetched ahead of a reader of a part.
const AHEAD: u64 = 4 * CHUNK;

#[derive(Default)]
pub(super) struct Needs {
    state: Mutex<NeedsState>,
    changed: Notify,
}

#[derive(Default)]
struct NeedsState {
    /// The most urgent class that needs the whole.
    whole: Option<Class>,
    last: u64,
    parts: BTreeMap<u64, NeededPart>,
}

/// The part that one reader waits for.
#[derive(PartialEq, Eq)]
struct NeededPart {
    range: Range<u64>,
    /// The reader gets the last chunk only once the whole is proven.
    needs_proof: bool,
}

/// The need of one reader. It ends with its reader.
pub(super) struct Demand {
    needs: Arc<Needs>,
    number: u64,
    needs_proof: bool,
}

impl Needs {
    pub(super) fn need_whole(&self, class: Class) {
        let mut state = self.lock();
        state.whole = state.whole.map(|known| known.min(class)).or(Some(class));
        drop(state);
        self.changed.notify_one();
    }

    pub(super) fn is_whole(&self) -> bool {
        self.lock().whole.is_some()
    }

    /// The class of the next bytes.
    pub(super) fn class(&self) -> Class {
        let state = self.lock();
        if state.parts.is_empty() {
            state.whole.unwrap_or(Class::Interactive)
        } else {
            Class::Interactive
        }
    }

    pub(super) fn has_no_readers(&self) -> bool {
        self.lock().parts.is_empty()
    }

    /// `needs_proof`: the reader gets the last chunk only once the whole is proven.
    pub(super) fn demand(self: &Arc<Self>, needs_proof: bool) -> Demand {
        let mut state = self.lock();
        state.last += 1;
        Demand {
            number: state.last,
            needs: self.clone(),
            needs_proof,
        }
    }

    /// Missing chunks that readers wait for, the most urgent ones first.
    pub(super) fn missing(&self, view: &PartialView, size: u64) -> Vec<u64> {
        let parts: Vec<Range<u64>> = self
            .lock()
            .parts
            .values()
            .map(|part| part.range.clone())
            .collect();
        missing_of(&parts, size, |chunk| view.has_chunk(chunk, size))
    }

    /// Whether a reader waits for the last chunk.
    pub(super) fn reaches_the_end(&self, size: u64) -> bool {
        let last = last_chunk_begins(size);
        self.lock().parts.values().any(|part| part.range.end > last)
    }

    /// Whether a reader waits for the last chunk that gets it only once the whole is proven.
    pub(super) fn wants_proof(&self, size: u64) -> bool {
        let last = last_chunk_begins(size);
        let waits = |part: &NeededPart| part.needs_proof && part.range.end > last;
        self.lock().parts.values().any(waits)
    }

    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, NeedsState> {
        self.state.lock()
    }
}

impl Demand {
    /// Sets the reader's position `at` and its `end`.
    pub(super) fn at(&self, at: u64, end: u64) {
        let part = NeededPart {
            range: at..end.min((at / CHUNK * CHUNK).saturating_add(AHEAD)),
            needs_proof: self.needs_proof,
        };
        let mut state = self.needs.lock();
        if state.parts.get(&self.number) == Some(&part) {
            return;
        }
        state.parts.insert(self.number, part);
        drop(state);
        self.needs.changed.notify_one();
    }
}

impl Drop for Demand {
    fn drop(&mut self) {
        self.needs.lock().parts.remove(&self.number);
        self.needs.changed.notify_one();
    }
}

fn missing_of(parts: &[Range<u64>], size: u64, has: impl Fn(u64) -> bool) -> Vec<u64> {
    let mut missing = Vec::new();
    for part in parts {
        let end = part.end.min(size);
        if part.start >= end {
            continue;
        }
        for chunk in part.start / CHUNK..=(end - 1) / CHUNK {
            if !missing.contains(&chunk) && !has(chunk) {
                missing.push(chunk);
            }
        }
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_chunks_that_are_read_and_not_here_are_missing() {
        let parts = [CHUNK + 5..2 * CHUNK + 1, 0..10, 9 * CHUNK..20 * CHUNK];
        let missing = missing_of(&parts, 10 * CHUNK - 1, |chunk| chunk == 2);
        assert_eq!(missing, [1, 0, 9]);
    }

    #[test]
    fn a_reader_that_leaves_needs_nothing() {
        let needs = Arc::new(Needs::default());
        let demand = needs.demand(false);
        demand.at(3 * CHUNK + 7, u64::MAX);
        assert!(!needs.has_no_readers());
        assert!(needs.reaches_the_end(5 * CHUNK) && !needs.reaches_the_end(100 * CHUNK));
        drop(demand);
        assert!(needs.has_no_readers());
    }

    #[test]
    fn the_proof_is_needed_once_its_reader_is_at_the_last_chunk() {
        let (needs, size) = (Arc::new(Needs::default()), 9 * CHUNK);
        needs.demand(false).at(8 * CHUNK, size);
        let (part, whole) = (needs.demand(false), needs.demand(true));
        part.at(8 * CHUNK, size);
        whole.at(0, size);
        assert!(!needs.wants_proof(size));
        whole.at(8 * CHUNK, size);
        assert!(needs.wants_proof(size));
        drop(whole);
        assert!(!needs.wants_proof(size));
    }
}
