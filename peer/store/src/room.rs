//! Makes room for what is fetched by evicting what was used longest ago.
//!
//! **Invariant:** nothing is evicted that is pinned, read, held for a lot or being written. Nothing is evicted in vain:
//! when all that may be evicted is not enough, it stays.

use std::sync::atomic::Ordering;

use oci::Digest;
use tracing::{debug, warn};

use super::blocking::off_thread;
use super::handle::Store;
use super::limits::{Disk, StoreLimits};
use super::objects::IdleObject;
use super::partials::IdlePartial;
use super::promises::{Hold, NoRoom, Room};
use super::removals::RemovalReason;

/// Partial objects without a promise: more of them are looked at off the async threads.
const LOOKED_AT_INLINE: usize = 8;

/// Something that may be evicted.
enum Candidate {
    Partial(IdlePartial),
    Whole(IdleObject),
}

impl Candidate {
    fn size(&self) -> u64 {
        match self {
            Self::Partial(partial) => partial.bytes,
            Self::Whole(idle) => idle.size,
        }
    }
}

impl Store {
    /// Promises room for an object of `bytes` bytes. Evicts what was used longest ago if needed.
    ///
    /// `bytes` is received or proven, never a claim: see [`GrowingRoom`](crate::GrowingRoom). Call it
    /// again when a write finds the disk full. The promise lasts until [`Room`] is dropped: after the object
    /// was sealed or abandoned.
    pub async fn make_room(&self, digest: &Digest, bytes: u64) -> Result<Room, NoRoom> {
        let keeper = &self.0.room;
        let room = keeper.promise(digest, bytes);
        if self.fits(0) {
            return Ok(room);
        }
        let _one = keeper.one_at_a_time.lock().await;
        let store = self.clone();
        let missing = off_thread(move || Ok(store.evict(EvictionGoal::AllOrNothing)))
            .await
            .unwrap_or(bytes);
        if missing == 0 {
            return Ok(room);
        }
        Err(self.refuse(digest, bytes, missing))
    }

    /// Fails when an object of `bytes` bytes cannot be held even after evicting everything possible. Evicts and
    /// promises nothing.
    pub async fn check_room(&self, digest: &Digest, bytes: u64) -> Result<(), NoRoom> {
        if self.fits(bytes) {
            return Ok(());
        }
        let (store, wanted) = (self.clone(), digest.clone());
        let missing = off_thread(move || Ok(store.missing_after_eviction(&wanted, bytes)))
            .await
            .unwrap_or(bytes);
        if missing == 0 {
            return Ok(());
        }
        Err(self.refuse(digest, bytes, missing))
    }

    fn refuse(&self, digest: &Digest, bytes: u64, missing: u64) -> NoRoom {
        self.0.room.refused.fetch_add(1, Ordering::Relaxed);
        let no_room = NoRoom {
            digest: digest.clone(),
            bytes,
            missing,
            folder: self.folder().to_owned(),
        };
        warn!(stoker.digest = %digest, stoker.side = "peer", stoker.bytes = bytes, error = %no_room, "no room for an object");
        no_room
    }

    /// Keeps these objects from being evicted, including those that are not here yet.
    pub fn hold(&self, digests: impl IntoIterator<Item = Digest>) -> Hold {
        self.0.room.hold(digests.into_iter().collect())
    }

    /// Free bytes of the store's disk, if known.
    pub fn disk_free(&self) -> Option<u64> {
        let disk = self.disk();
        (disk.size < u64::MAX).then_some(disk.free)
    }

    /// How often there was no room since the store was opened.
    pub fn rooms_refused(&self) -> u64 {
        self.0.room.refused.load(Ordering::Relaxed)
    }

    /// The most that objects may take: the quota, or the whole disk without one.
    pub fn capacity(&self) -> u64 {
        let size = self.disk().size;
        self.limits().quota_of(size).unwrap_or(size)
    }

    /// The limits that the operator set.
    pub(super) fn limits(&self) -> &StoreLimits {
        &self.0.room.limits
    }

    /// Whether the object is neither held for a lot nor pinned.
    pub(super) fn may_evict(&self, digest: &Digest) -> bool {
        !self.0.room.held.lock().contains_key(digest) && !self.is_pinned(digest)
    }

    pub(super) fn disk(&self) -> Disk {
        let whole = |disk: rustix::fs::StatVfs| Disk {
            size: disk.f_blocks.saturating_mul(disk.f_frsize),
            free: disk.f_bavail.saturating_mul(disk.f_frsize),
        };
        // Without an answer, nothing is refused beforehand.
        let unknown = Disk {
            size: u64::MAX,
            free: u64::MAX,
        };
        rustix::fs::statvfs(self.folder()).map_or(unknown, whole)
    }

    /// A quick check whether `more` bytes fit beside the promises. Reads the metadata of a few files, which is
    /// most likely in memory.
    fn fits(&self, more: u64) -> bool {
        let keeper = &self.0.room;
        let partials = keeper.without_promise(self.0.objects.partial());
        if partials.len() > LOOKED_AT_INLINE {
            return false;
        }
        let without_promise = partials.iter().map(|digest| self.disk_usage(digest)).sum();
        let mut ours = keeper.at_most(self.totals().bytes, without_promise);
        ours.add_unwritten(more);
        keeper.limits.excess(self.disk(), ours) == 0
    }

    /// Evicts until everything promised fits. Returns how many bytes are still missing. Blocks.
    pub(super) fn evict(&self, goal: EvictionGoal) -> u64 {
        let keeper = &self.0.room;
        let partials = self.partials();
        let written = partials
            .iter()
            .map(|one| (one.digest.clone(), one.bytes))
            .collect();
        let ours = keeper.exactly(self.totals().bytes, &written);
        let mut missing = keeper.limits.excess(self.disk(), ours);
        if missing == 0 {
            return 0;
        }
        let candidates = self.candidates(partials);
        let most: u64 = candidates.iter().map(Candidate::size).sum();
        if goal == EvictionGoal::AllOrNothing && most < missing {
            return missing - most;
        }
        for candidate in candidates {
            if missing == 0 {
                break;
            }
            let size = candidate.size();
            if self.evict_one(&candidate) {
                missing = missing.saturating_sub(size);
            }
        }
        missing
    }

    /// Returns how many of the object's `bytes` would not fit after evicting everything possible. Blocks.
    fn missing_after_eviction(&self, digest: &Digest, bytes: u64) -> u64 {
        let keeper = &self.0.room;
        let partials = self.partials();
        let written = partials
            .iter()
            .map(|one| (one.digest.clone(), one.bytes))
            .collect();
        let mut ours = keeper.exactly(self.totals().bytes, &written);
        let counted = written
            .get(digest)
            .copied()
            .unwrap_or(0)
            .max(keeper.promised_to(digest));
        ours.add_unwritten(bytes.saturating_sub(counted));
        let missing = keeper.limits.excess(self.disk(), ours);
        if missing == 0 {
            return 0;
        }
        let evictable = self.candidates(partials).iter().map(Candidate::size).sum();
        missing.saturating_sub(evictable)
    }

    /// What may be evicted: abandoned partial objects first, then the objects that were used longest ago.
    fn candidates(&self, partials: Vec<IdlePartial>) -> Vec<Candidate> {
        let keeper = &self.0.room;
        let promised: Vec<Digest> = keeper.promises.lock().by_digest.keys().cloned().collect();
        // What is being written stays, even before its first promise.
        let is_abandoned = |digest: &Digest| !promised.contains(digest) && !self.is_being_written(digest);
        let partials = partials
            .into_iter()
            .filter(|one| is_abandoned(&one.digest) && self.may_evict(&one.digest));
        let idle = self
            .0
            .objects
            .idle()
            .into_iter()
            .filter(|one| self.may_evict(&one.digest));
        partials
            .map(Candidate::Partial)
            .chain(idle.map(Candidate::Whole))
            .collect()
    }

    fn evict_one(&self, candidate: &Candidate) -> bool {
        let gone = match candidate {
            Candidate::Partial(partial) => self.remove_partial(partial),
            Candidate::Whole(idle) => self.remove_idle(idle, RemovalReason::Evicted),
        };
        gone.unwrap_or_else(|error| {
            debug!(%error, "eviction of an object failed");
            false
        })
    }
}

/// Whether evicting less than needed is useful.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum EvictionGoal {
    AllOrNothing,
    BestEffort,
}
