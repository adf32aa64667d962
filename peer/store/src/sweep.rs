//! Regular upkeep: evicts what was unused for too long and what exceeds the limits, and writes down when
//! objects were last used.

use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use process::Running;
use tracing::{info, warn};

use super::blocking::off_thread;
use super::catalog;
use super::handle::Store;
use super::removals::RemovalReason;
use super::room::EvictionGoal;

/// Time between two rounds.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// Abandoned partial objects are removed after this.
const BEGUN_KEPT: Duration = Duration::from_secs(7 * 86_400);

/// Seconds between two writes of the catalog.
const CATALOG_EVERY: i64 = 600;

/// Sweeps until the process stops, then writes the catalog.
pub async fn sweep_until(store: Store, running: Running) {
    let stopping = running.stopping();
    while stopping
        .run_until_cancelled(tokio::time::sleep(SWEEP_EVERY))
        .await
        .is_some()
    {
        store.sweep().await;
    }
    if let Err(error) = store.write_uses().await {
        warn!(stoker.side = "peer", %error, "catalog not written: times of last use may be lost");
    }
}

impl Store {
    /// One round.
    pub async fn sweep(&self) {
        let store = self.clone();
        let swept = off_thread(move || {
            store.remove_unused();
            let missing = store.evict(EvictionGoal::BestEffort);
            if missing > 0 {
                warn!(
                    stoker.side = "peer",
                    stoker.bytes = missing,
                    folder = %store.folder().display(),
                    "store over its limit, and all of it pinned or in use"
                );
            }
            store.write_catalog_if_due()
        });
        if let Err(error) = swept.await {
            warn!(stoker.side = "peer", %error, "catalog not written: times of last use may be lost");
        }
    }

    /// Blocks.
    fn remove_unused(&self) {
        let now = self.now_unix();
        let before = |age: Duration| now.saturating_sub(i64::try_from(age.as_secs()).unwrap_or(i64::MAX));
        let unused = self.limits().keep_unused;
        let begun_before = before(unused.map_or(BEGUN_KEPT, |unused| unused.min(BEGUN_KEPT)));
        for partial in self.partials() {
            if partial.written < begun_before && self.may_evict(&partial.digest) {
                // One that cannot be removed now is tried again in the next round.
                let _ = self.remove_partial(&partial);
            }
        }
        let Some(unused) = unused else { return };
        let used_before = before(unused);
        let old = self.0.objects.idle().into_iter();
        for idle in old.take_while(|idle| idle.used < used_before) {
            if self.may_evict(&idle.digest)
                && matches!(self.remove_idle(&idle, RemovalReason::Unused), Ok(true))
            {
                info!(stoker.digest = %idle.digest, stoker.bytes = idle.size, "unused object removed");
            }
        }
    }

    /// Writes the catalog: all sealed objects and when they were last used. Also called when the peer stops.
    pub async fn write_uses(&self) -> io::Result<()> {
        let store = self.clone();
        off_thread(move || store.write_catalog()).await
    }

    /// Blocks.
    pub(super) fn write_catalog_if_due(&self) -> io::Result<()> {
        let written = self.0.catalog_written.load(Ordering::Relaxed);
        if self.now_unix() - written < CATALOG_EVERY {
            return Ok(());
        }
        self.write_catalog()
    }

    fn write_catalog(&self) -> io::Result<()> {
        self.0.catalog_written.store(self.now_unix(), Ordering::Relaxed);
        catalog::write(self.layout(), self.0.objects.with_uses())
    }
}
