//! The lots that a session has taken and not completely settled, with the progress of their objects.

use std::collections::HashMap;
use std::sync::Arc;

use oci::Digest;
use parking_lot::{Mutex, MutexGuard};
use tokio::task::AbortHandle;
use tracing::debug;
use wire::{Lot, PlacementProgress, ProgressReport};

use crate::fetch::Following;

/// Clones share the same lots.
#[derive(Clone, Default)]
pub(super) struct TakenLots(Arc<Mutex<HashMap<i64, TakenLot>>>);

struct TakenLot {
    preheat: i64,
    /// Settlements that are not acknowledged yet.
    open: usize,
    moving: HashMap<String, Following>,
    task: Option<AbortHandle>,
}

/// A lot that the manager withdrew: its task, which ends soon, and the objects that it was fetching.
pub(super) struct StoppedLot {
    pub(super) task: AbortHandle,
    pub(super) digests: Vec<Digest>,
}

impl TakenLots {
    /// Returns false for an empty lot, and for one that already runs: the manager hands a lot out again when it is not
    /// sure that the peer received it.
    pub(super) fn begin(&self, lot: &Lot) -> bool {
        let mut lots = self.lock();
        let is_new = !lot.placements.is_empty() && !lots.contains_key(&lot.work);
        if is_new {
            let open = lot.placements.len();
            let entry = TakenLot {
                preheat: lot.preheat,
                open,
                moving: HashMap::new(),
                task: None,
            };
            lots.insert(lot.work, entry);
        }
        is_new
    }

    pub(super) fn moving(&self, work: i64, digest: &str, following: Following) {
        self.with(work, |lot| {
            lot.moving.insert(digest.to_owned(), following);
        });
    }

    pub(super) fn stopped(&self, work: i64, digest: &str) {
        self.with(work, |lot| {
            lot.moving.remove(digest);
        });
    }

    pub(super) fn acknowledged(&self, work: i64) {
        let mut lots = self.lock();
        if let Some(lot) = lots.get_mut(&work) {
            lot.open = lot.open.saturating_sub(1);
            if lot.open == 0 {
                lots.remove(&work);
            }
        }
    }

    /// Removes the lot and stops its task. `None` if the lot does not run.
    pub(super) fn withdraw(&self, work: i64) -> Option<StoppedLot> {
        let lot = self.lock().remove(&work)?;
        let task = lot.task?;
        debug!(stoker.work = work, "the manager withdrew this lot");
        task.abort();
        let following = lot.moving.into_values();
        Some(StoppedLot {
            task,
            digests: following.map(|following| following.digest().clone()).collect(),
        })
    }

    pub(super) fn working_on(&self) -> Vec<i64> {
        self.lock().keys().copied().collect()
    }

    pub(super) fn report(&self) -> ProgressReport {
        let lots = self.lock();
        let placements = lots.values().flat_map(|lot| {
            lot.moving.iter().map(|(digest, following)| PlacementProgress {
                preheat: lot.preheat,
                digest: digest.clone(),
                bytes_done: following.progress(),
            })
        });
        ProgressReport {
            placements: placements.collect(),
            working_on: lots.keys().copied().collect(),
            ..ProgressReport::default()
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Keeps the task, so that [`Self::withdraw`] can stop it.
    pub(super) fn runs_as(&self, work: i64, task: AbortHandle) {
        self.with(work, |lot| lot.task = Some(task));
    }

    fn with(&self, work: i64, change: impl FnOnce(&mut TakenLot)) {
        if let Some(lot) = self.lock().get_mut(&work) {
            change(lot);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i64, TakenLot>> {
        self.0.lock()
    }
}
