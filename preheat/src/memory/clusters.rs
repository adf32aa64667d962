//! The clusters by id, as this process knows them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Clusters by id. None is ever renamed or removed, so a known cluster stays true.
#[derive(Default)]
pub(crate) struct KnownClusters(Mutex<Arc<BTreeMap<i64, String>>>);

impl KnownClusters {
    pub(crate) fn get(&self) -> Arc<BTreeMap<i64, String>> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn put(&self, known: Arc<BTreeMap<i64, String>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = known;
    }
}
