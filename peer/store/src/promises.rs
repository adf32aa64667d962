//! Room that is promised to objects, and objects that are held.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use oci::Digest;
use parking_lot::{Mutex, MutexGuard};

use super::limits::{StoreLimits, StoreUsage};

/// There is not enough room, and nothing else may be evicted.
#[derive(Debug, Clone, thiserror::Error)]
#[error(
    "no room for {bytes} bytes of {} in {}: {missing} bytes are missing, and everything else is pinned or in use; enlarge the disk or the quota, or unpin images",
    .digest.short(), .folder.display()
)]
pub struct NoRoom {
    pub digest: Digest,
    pub bytes: u64,
    pub missing: u64,
    pub folder: PathBuf,
}

impl From<NoRoom> for io::Error {
    fn from(no_room: NoRoom) -> Self {
        Self::new(io::ErrorKind::StorageFull, no_room)
    }
}

/// Room that is promised to one object. Keep it until the object is sealed or given up.
#[derive(Debug)]
pub struct Room {
    promises: Promises,
    digest: Digest,
    number: u64,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.promises.lock().take_back(&self.digest, self.number);
    }
}

/// Keeps objects from being evicted while it exists.
#[derive(Debug)]
pub struct Hold {
    held: HoldCounts,
    digests: Vec<Digest>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut held = self.held.lock();
        for digest in &self.digests {
            if let Some(count) = held.get_mut(digest) {
                *count -= 1;
                if *count == 0 {
                    held.remove(digest);
                }
            }
        }
    }
}

/// The store's limits, promises and holds.
#[derive(Default)]
pub(super) struct RoomKeeper {
    pub(super) limits: StoreLimits,
    pub(super) promises: Promises,
    pub(super) held: HoldCounts,
    pub(super) one_at_a_time: tokio::sync::Mutex<()>,
    pub(super) refused: AtomicU64,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Promises(Arc<Mutex<Promised>>);

#[derive(Debug, Default)]
pub(super) struct Promised {
    pub(super) by_digest: HashMap<Digest, (u64, u64)>,
    bytes: u64,
    last_number: u64,
}

#[derive(Debug, Clone, Default)]
pub(super) struct HoldCounts(Arc<Mutex<HashMap<Digest, usize>>>);

impl Promises {
    pub(super) fn lock(&self) -> MutexGuard<'_, Promised> {
        self.0.lock()
    }
}

impl HoldCounts {
    pub(super) fn lock(&self) -> MutexGuard<'_, HashMap<Digest, usize>> {
        self.0.lock()
    }
}

impl Promised {
    /// A new promise to an object replaces the one before.
    pub(super) fn give(&mut self, digest: &Digest, bytes: u64) -> u64 {
        self.last_number += 1;
        let before = self.by_digest.insert(digest.clone(), (self.last_number, bytes));
        self.bytes = self
            .bytes
            .saturating_add(bytes)
            .saturating_sub(before.map_or(0, |(_, bytes)| bytes));
        self.last_number
    }

    fn take_back(&mut self, digest: &Digest, number: u64) {
        if self
            .by_digest
            .get(digest)
            .is_some_and(|(given, _)| *given == number)
            && let Some((_, bytes)) = self.by_digest.remove(digest)
        {
            self.bytes = self.bytes.saturating_sub(bytes);
        }
    }
}

impl RoomKeeper {
    /// Promises the bytes. The caller has to find out whether they fit.
    pub(super) fn promise(&self, digest: &Digest, bytes: u64) -> Room {
        Room {
            number: self.promises.lock().give(digest, bytes),
            promises: self.promises.clone(),
            digest: digest.clone(),
        }
    }

    pub(super) fn hold(&self, digests: Vec<Digest>) -> Hold {
        let held = self.held.clone();
        {
            let mut counts = held.lock();
            for digest in &digests {
                *counts.entry(digest.clone()).or_default() += 1;
            }
        }
        Hold { held, digests }
    }

    pub(super) fn new(limits: StoreLimits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// An upper bound, without looking at what is written already. What fits by this bound fits.
    pub(super) fn at_most(&self, whole: u64, without_promise: u64) -> StoreUsage {
        let promised = self.promises.lock().bytes;
        StoreUsage {
            bytes: whole.saturating_add(promised).saturating_add(without_promise),
            unwritten: promised,
        }
    }

    /// Filters `partials`: only those without a promise.
    pub(super) fn without_promise(&self, mut partials: Vec<Digest>) -> Vec<Digest> {
        let promised = self.promises.lock();
        partials.retain(|digest| !promised.by_digest.contains_key(digest));
        partials
    }

    /// The exact usage, from the written bytes of each partial object.
    pub(super) fn exactly(&self, whole: u64, written: &HashMap<Digest, u64>) -> StoreUsage {
        let promised = self.promises.lock();
        let mut ours = StoreUsage {
            bytes: whole,
            unwritten: 0,
        };
        ours.bytes += written.values().sum::<u64>();
        for (digest, (_, bytes)) in &promised.by_digest {
            ours.add_unwritten(bytes.saturating_sub(written.get(digest).copied().unwrap_or(0)));
        }
        ours
    }

    pub(super) fn promised_to(&self, digest: &Digest) -> u64 {
        let promised = self.promises.lock();
        promised.by_digest.get(digest).map_or(0, |(_, bytes)| *bytes)
    }
}
