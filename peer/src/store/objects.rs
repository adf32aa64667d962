//! What is here, in memory: whole objects, objects that are begun, and how many went.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use oci::Digest;

use super::{About, RemovalReason};

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
    objects: HashMap<Digest, About>,
    bytes: u64,
}

impl Objects {
    pub(super) fn new(objects: HashMap<Digest, About>, partial: HashSet<Digest>) -> Self {
        let bytes = objects.values().map(|about| about.size).sum();
        Self {
            whole: RwLock::new(Whole { objects, bytes }),
            partial: Mutex::new(partial),
            removed: Default::default(),
        }
    }

    pub(super) fn about(&self, digest: &Digest) -> Option<About> {
        self.read(|whole| whole.objects.get(digest).cloned())
    }

    pub(super) fn map<T>(&self, mut each: impl FnMut(&Digest, &About) -> T) -> Vec<T> {
        self.read(|whole| {
            let objects = whole.objects.iter();
            objects.map(|(digest, about)| each(digest, about)).collect()
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

    pub(super) fn insert(&self, digest: Digest, about: About) {
        let mut whole = self.whole.write().unwrap_or_else(PoisonError::into_inner);
        whole.bytes += about.size;
        if let Some(before) = whole.objects.insert(digest, about) {
            whole.bytes = whole.bytes.saturating_sub(before.size);
        }
    }

    /// Whether it was there.
    pub(super) fn remove(&self, digest: &Digest) -> bool {
        let mut whole = self.whole.write().unwrap_or_else(PoisonError::into_inner);
        let Some(gone) = whole.objects.remove(digest) else {
            return false;
        };
        whole.bytes = whole.bytes.saturating_sub(gone.size);
        true
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
        look(&self.whole.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn lock_partial(&self) -> MutexGuard<'_, HashSet<Digest>> {
        self.partial.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
