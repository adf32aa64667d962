//! The objects of a store, in memory: sealed ones with the time of their last use, partial ones, and counts of
//! removals.
//!
//! **Invariant:** an object that is being read is not evicted. Each reader has an [`InUse`]; eviction looks for
//! them under the same lock under which readers get theirs.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use oci::Digest;
use parking_lot::{Mutex, MutexGuard, RwLock};

use super::chunks::About;
use super::open_files::FileSlot;
use super::removals::RemovalReason;

/// Counts of a store's contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Totals {
    /// Bytes of sealed objects.
    pub bytes: u64,
    pub objects: u64,
    pub partial_objects: u64,
}

pub(super) struct Objects {
    whole: RwLock<Whole>,
    partial: Mutex<HashSet<Digest>>,
    removed: [AtomicU64; RemovalReason::ALL.len()],
}

struct Whole {
    objects: HashMap<Digest, ObjectEntry>,
    bytes: u64,
}

struct ObjectEntry {
    about: About,
    /// Unix seconds.
    used: AtomicI64,
    readers: InUse,
}

/// Keeps an object from being evicted while a clone exists. May hold its open file.
#[derive(Debug, Clone, Default)]
pub(super) struct InUse(Arc<FileSlot>);

impl InUse {
    pub(super) fn slot(&self) -> &Arc<FileSlot> {
        &self.0
    }
}

/// A sealed object without readers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct IdleObject {
    pub(super) digest: Digest,
    pub(super) size: u64,
    /// Unix seconds.
    pub(super) used: i64,
}

impl ObjectEntry {
    fn new(about: About, used: i64) -> Self {
        Self {
            about,
            used: AtomicI64::new(used),
            readers: InUse::default(),
        }
    }

    /// The map has one of its own.
    fn is_read(&self) -> bool {
        Arc::strong_count(&self.readers.0) > 1
    }
}

impl Objects {
    /// `objects` with the time of their last use in Unix seconds.
    pub(super) fn new(objects: HashMap<Digest, (About, i64)>, partial: HashSet<Digest>) -> Self {
        let bytes = objects.values().map(|(about, _)| about.size).sum();
        let objects = objects
            .into_iter()
            .map(|(digest, (about, used))| (digest, ObjectEntry::new(about, used)))
            .collect();
        Self {
            whole: RwLock::new(Whole { objects, bytes }),
            partial: Mutex::new(partial),
            removed: Default::default(),
        }
    }

    pub(super) fn about(&self, digest: &Digest) -> Option<About> {
        self.read(|whole| whole.objects.get(digest).map(|entry| entry.about.clone()))
    }

    /// Marks a use. Returns the object's size and what keeps it here.
    pub(super) fn use_now(&self, digest: &Digest, now: i64) -> Option<(u64, InUse)> {
        self.read(|whole| {
            let entry = whole.objects.get(digest)?;
            entry.used.fetch_max(now, Ordering::Relaxed);
            Some((entry.about.size, entry.readers.clone()))
        })
    }

    /// All sealed objects with their description and the time of their last use in Unix seconds.
    pub(super) fn with_uses(&self) -> Vec<(Digest, About, i64)> {
        self.read(|whole| {
            let objects = whole.objects.iter();
            let with_use = objects.map(|(digest, entry)| {
                let used = entry.used.load(Ordering::Relaxed);
                (digest.clone(), entry.about.clone(), used)
            });
            with_use.collect()
        })
    }

    /// Objects without readers, the one that was used longest ago first.
    pub(super) fn idle(&self) -> Vec<IdleObject> {
        let mut idle: Vec<IdleObject> = self.read(|whole| {
            let objects = whole.objects.iter().filter(|(_, entry)| !entry.is_read());
            let idle = objects.map(|(digest, entry)| IdleObject {
                digest: digest.clone(),
                size: entry.about.size,
                used: entry.used.load(Ordering::Relaxed),
            });
            idle.collect()
        });
        idle.sort_by(|one, other| (one.used, &one.digest).cmp(&(other.used, &other.digest)));
        idle
    }

    pub(super) fn map<T>(&self, mut each: impl FnMut(&Digest, &About) -> T) -> Vec<T> {
        self.read(|whole| {
            let objects = whole.objects.iter();
            objects
                .map(|(digest, entry)| each(digest, &entry.about))
                .collect()
        })
    }

    pub(super) fn totals(&self) -> Totals {
        let partial_objects = self.lock_partial().len() as u64;
        self.read(|whole| Totals {
            bytes: whole.bytes,
            objects: whole.objects.len() as u64,
            partial_objects,
        })
    }

    /// Adds a sealed object, with a first use.
    pub(super) fn insert(&self, digest: Digest, about: About, now: i64) -> InUse {
        let entry = ObjectEntry::new(about, now);
        let in_use = entry.readers.clone();
        let mut whole = self.whole.write();
        whole.bytes += entry.about.size;
        if let Some(before) = whole.objects.insert(digest, entry) {
            whole.bytes = whole.bytes.saturating_sub(before.about.size);
        }
        in_use
    }

    /// Replaces the description of a sealed object.
    pub(super) fn describe(&self, digest: &Digest, about: About) {
        let mut whole = self.whole.write();
        if let Some(entry) = whole.objects.get_mut(digest) {
            entry.about = about;
        }
    }

    /// Removes an object. Returns whether it was here.
    pub(super) fn remove(&self, digest: &Digest) -> bool {
        let mut whole = self.whole.write();
        let Some(gone) = whole.objects.remove(digest) else {
            return false;
        };
        whole.bytes = whole.bytes.saturating_sub(gone.about.size);
        true
    }

    /// The same, unless the object is being read or was used after `idle.used`.
    pub(super) fn remove_idle(&self, idle: &IdleObject) -> bool {
        let mut whole = self.whole.write();
        let still_idle = whole
            .objects
            .get(&idle.digest)
            .is_some_and(|entry| !entry.is_read() && entry.used.load(Ordering::Relaxed) <= idle.used);
        if still_idle {
            whole.objects.remove(&idle.digest);
            whole.bytes = whole.bytes.saturating_sub(idle.size);
        }
        still_idle
    }

    /// All partial objects.
    pub(super) fn partial(&self) -> Vec<Digest> {
        self.lock_partial().iter().cloned().collect()
    }

    pub(super) fn is_partial(&self, digest: &Digest) -> bool {
        self.lock_partial().contains(digest)
    }

    /// Adds a partial object.
    pub(super) fn add_partial(&self, digest: &Digest) {
        self.lock_partial().insert(digest.clone());
    }

    /// The partial file is gone: it was sealed or given up.
    pub(super) fn no_longer_partial(&self, digest: &Digest) {
        self.lock_partial().remove(digest);
    }

    pub(super) fn count_removal(&self, why: RemovalReason) {
        if let Some(count) = self.removed.get(why.number()) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn removed(&self, why: RemovalReason) -> u64 {
        self.removed
            .get(why.number())
            .map_or(0, |count| count.load(Ordering::Relaxed))
    }

    fn read<T>(&self, look: impl FnOnce(&Whole) -> T) -> T {
        look(&self.whole.read())
    }

    fn lock_partial(&self) -> MutexGuard<'_, HashSet<Digest>> {
        self.partial.lock()
    }
}
