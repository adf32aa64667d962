//! What is here, in memory: whole objects, when each was used last, objects that are begun, and how many went.
//!
//! **Invariant:** an object that somebody reads is not taken away for want of room: whoever reads has an [`InUse`],
//! and it is looked for while the map is locked that readers get theirs from.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use oci::Digest;
use parking_lot::{Mutex, MutexGuard, RwLock};

use super::chunks::About;
use super::open_files::FileSlot;
use super::removals::RemovalReason;

/// How much a store holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Totals {
    /// Of whole objects.
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

/// While a clone of it is there, the object is not evicted. Its file may be open in there.
#[derive(Debug, Clone, Default)]
pub(super) struct InUse(Arc<FileSlot>);

impl InUse {
    pub(super) fn slot(&self) -> &Arc<FileSlot> {
        &self.0
    }
}

/// An object that could go.
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

    /// The map has one itself.
    fn is_read(&self) -> bool {
        Arc::strong_count(&self.readers.0) > 1
    }
}

impl Objects {
    /// `objects` with the time of their last use, in Unix seconds.
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

    /// Its size, and what keeps it here. That is a use of it.
    pub(super) fn use_now(&self, digest: &Digest, now: i64) -> Option<(u64, InUse)> {
        self.read(|whole| {
            let entry = whole.objects.get(digest)?;
            entry.used.fetch_max(now, Ordering::Relaxed);
            Some((entry.about.size, entry.readers.clone()))
        })
    }

    /// Everything that is whole, with what is known of it and when it was used last, in Unix seconds.
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

    /// What nobody reads now, the one that was used longest ago first.
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

    /// It is whole now, and is used by whoever wanted it.
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

    /// Something else is known of it.
    pub(super) fn describe(&self, digest: &Digest, about: About) {
        let mut whole = self.whole.write();
        if let Some(entry) = whole.objects.get_mut(digest) {
            entry.about = about;
        }
    }

    /// Whether it was there.
    pub(super) fn remove(&self, digest: &Digest) -> bool {
        let mut whole = self.whole.write();
        let Some(gone) = whole.objects.remove(digest) else {
            return false;
        };
        whole.bytes = whole.bytes.saturating_sub(gone.about.size);
        true
    }

    /// The same, unless somebody has begun to read it, or used it since `used`.
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

    /// Objects whose partial file is there.
    pub(super) fn partial(&self) -> Vec<Digest> {
        self.lock_partial().iter().cloned().collect()
    }

    pub(super) fn is_partial(&self, digest: &Digest) -> bool {
        self.lock_partial().contains(digest)
    }

    /// Its partial file is there.
    pub(super) fn begun(&self, digest: &Digest) {
        self.lock_partial().insert(digest.clone());
    }

    /// Its partial file is gone: it got its name, or was given up.
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
