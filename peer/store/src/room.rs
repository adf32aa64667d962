//! Room for what is fetched: promised before the bytes come, and made by letting go what was used longest ago.
//!
//! **Invariant:** nothing goes that is pinned, read, held for a lot or being written; and nothing goes in vain: when
//! all that may go is not enough for what is wanted, it stays.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use oci::Digest;
use parking_lot::{Mutex, MutexGuard};
use tracing::{debug, warn};

use super::limits::{Disk, Ours, StoreLimits};
use super::partials::Resting;
use super::{RemovalReason, Store, off_thread};

/// Objects that were begun and left: more of them are looked at off the async threads.
const LOOKED_AT_INLINE: usize = 8;

/// There is no room, and nothing more that may go.
#[derive(Debug, Clone, thiserror::Error)]
#[error(
    "no room for {bytes} bytes of {digest} in {}: {missing} bytes more would have to go, and what is left is pinned or in use; give it a larger disk or quota, or unpin",
    .folder.display()
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

/// Room that is promised to one object. To be kept until the object has its name or is given up.
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

/// Objects that are wanted by who has this: none of them is evicted.
#[derive(Debug)]
pub struct Hold {
    held: Held,
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

/// What a store keeps of its room.
#[derive(Default)]
pub(super) struct RoomKeeper {
    pub(super) limits: StoreLimits,
    promises: Promises,
    held: Held,
    one_at_a_time: tokio::sync::Mutex<()>,
    refused: AtomicU64,
}

#[derive(Debug, Clone, Default)]
struct Promises(Arc<Mutex<Promised>>);

#[derive(Debug, Default)]
struct Promised {
    by_digest: HashMap<Digest, (u64, u64)>,
    bytes: u64,
    last_number: u64,
}

#[derive(Debug, Clone, Default)]
struct Held(Arc<Mutex<HashMap<Digest, usize>>>);

impl Promises {
    fn lock(&self) -> MutexGuard<'_, Promised> {
        self.0.lock()
    }
}

impl Held {
    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, usize>> {
        self.0.lock()
    }
}

impl Promised {
    /// Of two promises to one object the last holds.
    fn give(&mut self, digest: &Digest, bytes: u64) -> u64 {
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
    pub(super) fn new(limits: StoreLimits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// Without a look at what is written already: more than it is, so that what fits by this fits.
    fn at_most(&self, whole: u64, without_promise: u64) -> Ours {
        let promised = self.promises.lock().bytes;
        Ours {
            bytes: whole.saturating_add(promised).saturating_add(without_promise),
            unwritten: promised,
        }
    }

    /// Those of `begun` that were promised nothing.
    fn without_promise(&self, mut begun: Vec<Digest>) -> Vec<Digest> {
        let promised = self.promises.lock();
        begun.retain(|digest| !promised.by_digest.contains_key(digest));
        begun
    }

    /// With a look at each object that is begun.
    fn exactly(&self, whole: u64, written: &HashMap<Digest, u64>) -> Ours {
        let promised = self.promises.lock();
        let mut ours = Ours {
            bytes: whole,
            unwritten: 0,
        };
        ours.bytes += written.values().sum::<u64>();
        for (digest, (_, bytes)) in &promised.by_digest {
            ours.add_unwritten(bytes.saturating_sub(written.get(digest).copied().unwrap_or(0)));
        }
        ours
    }

    fn promised_to(&self, digest: &Digest) -> u64 {
        let promised = self.promises.lock();
        promised.by_digest.get(digest).map_or(0, |(_, bytes)| *bytes)
    }
}

/// Something that may go.
enum Candidate {
    Begun(Resting),
    Whole(super::objects::Idle),
}

impl Candidate {
    fn size(&self) -> u64 {
        match self {
            Self::Begun(resting) => resting.bytes,
            Self::Whole(idle) => idle.size,
        }
    }
}

impl Store {
    /// Promises room for an object of `bytes` bytes, and lets go what was used longest ago where there is none.
    ///
    /// `bytes` is what has come or is proven, never a claim: see [`GrowingRoom`](crate::GrowingRoom). To be asked again
    /// when a write finds the disk full: then once more room is made where something may go. The room is kept until
    /// [`Room`] is dropped: after the object was sealed or given up.
    pub async fn make_room(&self, digest: &Digest, bytes: u64) -> Result<Room, NoRoom> {
        let keeper = &self.0.room;
        let number = keeper.promises.lock().give(digest, bytes);
        let room = Room {
            promises: keeper.promises.clone(),
            digest: digest.clone(),
            number,
        };
        if self.fits(0) {
            return Ok(room);
        }
        let _one = keeper.one_at_a_time.lock().await;
        let store = self.clone();
        let missing = off_thread(move || Ok(store.let_go(Wish::AllOrNothing)))
            .await
            .unwrap_or(bytes);
        if missing == 0 {
            return Ok(room);
        }
        Err(self.refuse(digest, bytes, missing))
    }

    /// Fails when an object of `bytes` bytes could not be held, whatever were evicted. Evicts and promises nothing.
    pub async fn check_room(&self, digest: &Digest, bytes: u64) -> Result<(), NoRoom> {
        if self.fits(bytes) {
            return Ok(());
        }
        let (store, wanted) = (self.clone(), digest.clone());
        let missing = off_thread(move || Ok(store.lacking(&wanted, bytes)))
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
        warn!(stoker.digest = %digest, stoker.side = "peer", stoker.bytes = bytes, "{no_room}");
        no_room
    }

    /// Keeps these objects from being evicted, also those that are not here yet.
    pub fn hold(&self, digests: impl IntoIterator<Item = Digest>) -> Hold {
        let held = self.0.room.held.clone();
        let digests: Vec<Digest> = digests.into_iter().collect();
        {
            let mut counts = held.lock();
            for digest in &digests {
                *counts.entry(digest.clone()).or_default() += 1;
            }
        }
        Hold { held, digests }
    }

    /// Times that there was no room since this store was opened.
    pub fn rooms_refused(&self) -> u64 {
        self.0.room.refused.load(Ordering::Relaxed)
    }

    /// The most that objects may take: the quota, or the whole disk where there is none.
    pub fn most(&self) -> u64 {
        let size = self.disk().size;
        self.limits().quota_of(size).unwrap_or(size)
    }

    /// What an operator allows this store.
    pub(super) fn limits(&self) -> &StoreLimits {
        &self.0.room.limits
    }

    /// Whether it is neither held for a lot nor pinned.
    pub(super) fn may_go(&self, digest: &Digest) -> bool {
        !self.0.room.held.lock().contains_key(digest) && !self.is_pinned(digest)
    }

    pub(super) fn disk(&self) -> Disk {
        let whole = |disk: rustix::fs::StatVfs| Disk {
            size: disk.f_blocks.saturating_mul(disk.f_frsize),
            free: disk.f_bavail.saturating_mul(disk.f_frsize),
        };
        // A disk that does not tell is tried.
        let unknown = Disk {
            size: u64::MAX,
            free: u64::MAX,
        };
        rustix::fs::statvfs(self.folder()).map_or(unknown, whole)
    }

    /// A quick look whether `more` bytes fit beside what is promised: not a wait for the disk, but for a few names that
    /// are in memory most likely.
    fn fits(&self, more: u64) -> bool {
        let keeper = &self.0.room;
        let begun = keeper.without_promise(self.0.objects.partial());
        if begun.len() > LOOKED_AT_INLINE {
            return false;
        }
        let without_promise = begun.iter().map(|digest| self.taken_by(digest)).sum();
        let mut ours = keeper.at_most(self.totals().bytes, without_promise);
        ours.add_unwritten(more);
        keeper.limits.too_much(self.disk(), ours) == 0
    }

    /// Blocks. Tells how many bytes are still missing.
    pub(super) fn let_go(&self, wish: Wish) -> u64 {
        let keeper = &self.0.room;
        let begun = self.begun();
        let written = begun.iter().map(|one| (one.digest.clone(), one.bytes)).collect();
        let ours = keeper.exactly(self.totals().bytes, &written);
        let mut missing = keeper.limits.too_much(self.disk(), ours);
        if missing == 0 {
            return 0;
        }
        let candidates = self.candidates(begun);
        let most: u64 = candidates.iter().map(Candidate::size).sum();
        if wish == Wish::AllOrNothing && most < missing {
            return missing - most;
        }
        for candidate in candidates {
            if missing == 0 {
                break;
            }
            let size = candidate.size();
            if self.goes(&candidate) {
                missing = missing.saturating_sub(size);
            }
        }
        missing
    }

    /// Blocks. Tells how many of the object's `bytes` would have no room after everything went that may go.
    fn lacking(&self, digest: &Digest, bytes: u64) -> u64 {
        let keeper = &self.0.room;
        let begun = self.begun();
        let written = begun.iter().map(|one| (one.digest.clone(), one.bytes)).collect();
        let mut ours = keeper.exactly(self.totals().bytes, &written);
        let counted = written
            .get(digest)
            .copied()
            .unwrap_or(0)
            .max(keeper.promised_to(digest));
        ours.add_unwritten(bytes.saturating_sub(counted));
        let missing = keeper.limits.too_much(self.disk(), ours);
        if missing == 0 {
            return 0;
        }
        let may_go = self.candidates(begun).iter().map(Candidate::size).sum();
        missing.saturating_sub(may_go)
    }

    /// What was begun and left first, then what was used longest ago.
    fn candidates(&self, begun: Vec<Resting>) -> Vec<Candidate> {
        let keeper = &self.0.room;
        let promised: Vec<Digest> = keeper.promises.lock().by_digest.keys().cloned().collect();
        // What is being written stays, also before its first promise.
        let is_left = |digest: &Digest| !promised.contains(digest) && !self.is_being_written(digest);
        let begun = begun
            .into_iter()
            .filter(|one| is_left(&one.digest) && self.may_go(&one.digest));
        let idle = self
            .0
            .objects
            .idle()
            .into_iter()
            .filter(|one| self.may_go(&one.digest));
        begun
            .map(Candidate::Begun)
            .chain(idle.map(Candidate::Whole))
            .collect()
    }

    fn goes(&self, candidate: &Candidate) -> bool {
        let gone = match candidate {
            Candidate::Begun(resting) => self.remove_resting(resting),
            Candidate::Whole(idle) => self.remove_idle(idle, RemovalReason::Evicted),
        };
        gone.unwrap_or_else(|error| {
            debug!(%error, "what should go cannot be removed");
            false
        })
    }
}

/// Whether a part of what is wanted is worth anything.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    AllOrNothing,
    AsMuchAsMayGo,
}
