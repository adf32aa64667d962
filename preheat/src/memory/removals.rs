//! The list of removed peers as this process last read and signed it.

use std::sync::Arc;

use parking_lot::Mutex;
use wire::{RemovalList, Signed};

/// The list as it was last read.
#[derive(Default)]
pub(crate) struct KnownRemovals(Mutex<Option<ReadRemovals>>);

#[derive(Clone)]
pub(crate) struct ReadRemovals {
    pub(crate) looked_ms: i64,
    pub(crate) read_ms: i64,
    pub(crate) signed: Arc<SignedRemovals>,
}

pub(crate) struct SignedRemovals {
    pub(crate) list: RemovalList,
    pub(crate) signed: Signed<RemovalList>,
}

impl KnownRemovals {
    pub(crate) fn get(&self) -> Option<ReadRemovals> {
        self.0.lock().clone()
    }

    pub(crate) fn put(&self, known: Option<ReadRemovals>) {
        *self.0.lock() = known;
    }
}
