//! The neighbourhood that the peers of each cluster were last sent.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use wire::Neighbourhood;

/// The last answer for each cluster.
#[derive(Default)]
pub(crate) struct KnownNeighbourhoods(Mutex<HashMap<i64, (i64, Arc<Neighbourhood>)>>);

impl KnownNeighbourhoods {
    pub(crate) fn lock(&self) -> MutexGuard<'_, HashMap<i64, (i64, Arc<Neighbourhood>)>> {
        self.0.lock()
    }

    /// A session began or ended, or a registry was named for the first time.
    pub(crate) fn forget(&self) {
        self.lock().clear();
    }
}
