//! What readers want of an object that is on its way: all of it, or the parts that they are reading.
//!
//! What a reader waits for goes before what a preheat wants, and that before what is fetched ahead.
//!
//! **Invariant:** a part is wanted as long as its reader is there, and no further ahead than [`AHEAD`]: a range that its
//! client gives up costs little more than what was read of it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use store::{CHUNK, PartialView, last_chunk_begins};
use tokio::sync::Notify;

use crate::limits::Class;

/// Bytes that are fetched ahead of somebody who reads a part.
const AHEAD: u64 = 4 * CHUNK;

#[derive(Default)]
pub(super) struct Needs {
    wanted: Mutex<Wanted>,
    changed: Notify,
}

#[derive(Default)]
struct Wanted {
    /// Who wants all of it.
    whole: Option<Class>,
    last: u64,
    parts: BTreeMap<u64, Range<u64>>,
}

/// One reader's wish; gone with its reader.
pub(super) struct Demand {
    needs: Arc<Needs>,
    number: u64,
}

impl Needs {
    pub(super) fn want_whole(&self, class: Class) {
        let mut wanted = self.lock();
        wanted.whole = wanted.whole.map(|known| known.min(class)).or(Some(class));
        drop(wanted);
        self.changed.notify_one();
    }

    pub(super) fn is_whole(&self) -> bool {
        self.lock().whole.is_some()
    }

    /// How urgent the next bytes are.
    pub(super) fn class(&self) -> Class {
        let wanted = self.lock();
        if wanted.parts.is_empty() {
            wanted.whole.unwrap_or(Class::Interactive)
        } else {
            Class::Interactive
        }
    }

    pub(super) fn nobody_reads(&self) -> bool {
        self.lock().parts.is_empty()
    }

    pub(super) fn demand(self: &Arc<Self>) -> Demand {
        let mut wanted = self.lock();
        wanted.last += 1;
        Demand {
            number: wanted.last,
            needs: self.clone(),
        }
    }

    /// Chunks that somebody waits for and that are not there, those that are wanted first in front.
    pub(super) fn missing(&self, view: &PartialView, size: u64) -> Vec<u64> {
        let parts: Vec<Range<u64>> = self.lock().parts.values().cloned().collect();
        missing_of(&parts, size, |chunk| view.has_chunk(chunk, size))
    }

    /// Whether somebody waits for the last chunk.
    pub(super) fn reaches_the_end(&self, size: u64) -> bool {
        let last = last_chunk_begins(size);
        self.lock().parts.values().any(|part| part.end > last)
    }

    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Demand {
    /// The reader is at `at` and reads to `end`.
    pub(super) fn at(&self, at: u64, end: u64) {
        let part = at..end.min((at / CHUNK * CHUNK).saturating_add(AHEAD));
        let mut wanted = self.needs.lock();
        if wanted.parts.get(&self.number) == Some(&part) {
            return;
        }
        wanted.parts.insert(self.number, part);
        drop(wanted);
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
    fn only_what_is_read_and_not_there_is_missing() {
        let parts = [CHUNK + 5..2 * CHUNK + 1, 0..10, 9 * CHUNK..20 * CHUNK];
        let missing = missing_of(&parts, 10 * CHUNK - 1, |chunk| chunk == 2);
        assert_eq!(missing, [1, 0, 9]);
    }

    #[test]
    fn a_reader_that_leaves_wants_nothing() {
        let needs = Arc::new(Needs::default());
        let demand = needs.demand();
        demand.at(3 * CHUNK + 7, u64::MAX);
        assert!(!needs.nobody_reads());
        assert!(needs.reaches_the_end(5 * CHUNK) && !needs.reaches_the_end(100 * CHUNK));
        drop(demand);
        assert!(needs.nobody_reads());
    }
}
