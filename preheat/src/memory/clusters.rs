//! The clusters by id, as this process knows them.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

/// Clusters by id. None is ever renamed or removed, so a known cluster stays true.
#[derive(Default)]
pub(crate) struct KnownClusters(Mutex<Arc<BTreeMap<i64, String>>>);

impl KnownClusters {
    pub(crate) fn get(&self) -> Arc<BTreeMap<i64, String>> {
        Arc::clone(&self.0.lock())
    }

    pub(crate) fn put(&self, known: Arc<BTreeMap<i64, String>>) {
        *self.0.lock() = known;
    }
}
