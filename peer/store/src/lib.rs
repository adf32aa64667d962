//! Stores objects by digest.
//!
//! **Invariant:** if `sealed/ab/abcd…` exists, its bytes have that sha256 and were on disk before the file got its name.
//! A [`Partial`] becomes [`Sealed`] only by [`Partial::prove`] and [`Proven::seal`].
//!
//! Non-goals: registries, peers and preheats.

mod begun;
mod catalog;
mod chunk_set;
mod chunks;
mod describe;
mod growing;
mod index;
mod landing;
mod layout;
mod limits;
mod objects;
mod open_files;
mod partial;
mod reading;
mod recover;
mod removals;
mod room;
mod rules;
mod sealed;
mod small;
mod sweep;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
mod uses;

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Arc, Weak};

use oci::{Digest, Location};
use tokio::sync::broadcast;
use wire::{Holding, PublicProof, Signed, TagMeaning, TagRecord, TraceContext};

pub use chunks::{About, CHUNK, ChunkHashes, last_chunk_begins};
pub use growing::GrowingRoom;
pub use limits::{Amount, Disk, StoreLimits};
pub use objects::Totals;
pub use partial::{LandError, Partial, Proven, WrongBytes};
pub use removals::{Removal, RemovalReason};
pub use room::{Hold, NoRoom, Room};
pub use sealed::Sealed;
pub use small::ProvenBytes;
pub use sweep::sweep_until;

pub use chunks::ChunkHash;
pub use partial::PartialView;
pub use reading::{read_at, read_some};

use index::Index;
use layout::{Layout, sync_folder};
use objects::{InUse, Objects};
use open_files::OpenFiles;
use partial::OpenPartials;
use room::RoomKeeper;
use rules::Rules;
use uses::Uses;

/// Unix milliseconds.
pub type Clock = Box<dyn Fn() -> i64 + Send + Sync>;

/// News that a listener may be behind; one that is further behind reads the whole list.
const EVENTS: usize = 1024;

/// Notes of where the bytes of partial objects come from.
const PARTIAL_FROM: &str = "partial-from";
/// Of more than one location: no location's text.
const MIXED: &[u8] = b"";

/// What happened to the set of sealed objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreEvent {
    Gained(Holding),
    Lost(Digest),
}

/// The objects of one peer. Clones share them.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

/// Names a store without keeping it open.
pub struct WeakStore(Weak<Inner>);

impl WeakStore {
    pub fn upgrade(&self) -> Option<Store> {
        self.0.upgrade().map(Store)
    }
}

struct Inner {
    layout: Layout,
    objects: Objects,
    index: Index,
    events: broadcast::Sender<StoreEvent>,
    open_partials: OpenPartials,
    open_files: OpenFiles,
    room: RoomKeeper,
    rules: Rules,
    uses: Uses,
    clock: Clock,
}

impl Store {
    /// The store in the folder `dir`, or a new one, with the disk as its only limit.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let clock = Box::new(process::clock::unix_ms);
        Self::open_with(dir, StoreLimits::default(), clock)
    }

    /// Opens the store in the folder `dir`, or makes it. Reads names and sizes, not bytes.
    pub fn open_with(dir: &Path, limits: StoreLimits, clock: Clock) -> io::Result<Self> {
        let layout = Layout::new(dir);
        layout.make()?;
        // First, because it is locked: of two programs on one folder, the second stops here.
        let index = Index::open(&layout.index())?;
        let found = recover::sealed_objects(&layout, clock() / 1_000)?;
        let partial = recover::sweep_partials(&layout)?;
        let objects = Objects::new(found.whole, partial);
        for digest in &found.damaged {
            objects.count_removal(RemovalReason::Damaged);
            index.forget_object(digest);
            index.record_removal(digest, Removal::now(RemovalReason::Damaged));
        }
        Ok(Self(Arc::new(Inner {
            layout,
            objects,
            rules: Rules::open(&index),
            index,
            events: broadcast::channel(EVENTS).0,
            open_partials: OpenPartials::default(),
            open_files: OpenFiles::default(),
            room: RoomKeeper::new(limits),
            uses: Uses::default(),
            clock,
        })))
    }

    pub fn downgrade(&self) -> WeakStore {
        WeakStore(Arc::downgrade(&self.0))
    }

    /// The folder that the store lies in.
    pub fn folder(&self) -> &Path {
        self.0.layout.root()
    }

    /// The object, if it is whole. That is a use of it, and it is not evicted while somebody has the answer.
    pub fn sealed(&self, digest: &Digest) -> Option<Sealed> {
        let (size, in_use) = self.0.objects.use_now(digest, self.now_unix())?;
        Some(self.named(digest, size, in_use))
    }

    fn named(&self, digest: &Digest, size: u64, in_use: InUse) -> Sealed {
        let layout = &self.0.layout;
        let paths = (layout.sealed(digest), layout.sealed_chunks(digest));
        Sealed::new(digest.clone(), size, paths, in_use, self.0.open_files.clone())
    }

    /// What has landed of an object, or nothing yet. One at a time per digest.
    pub async fn partial(&self, digest: &Digest) -> io::Result<Partial> {
        Partial::open(self.clone(), digest.clone()).await
    }

    /// What is known of a sealed object beside its bytes.
    pub fn about(&self, digest: &Digest) -> Option<About> {
        self.0.objects.about(digest)
    }

    /// Everything that is whole.
    pub fn held(&self) -> Vec<Holding> {
        self.0.objects.map(held)
    }

    /// Everything that is whole, with what is known of it.
    pub fn list(&self) -> Vec<(Digest, About)> {
        let mut list = self
            .0
            .objects
            .map(|digest, about| (digest.clone(), about.clone()));
        list.sort_by(|(one, _), (other, _)| one.cmp(other));
        list
    }

    /// How much there is. Reads no disk.
    pub fn totals(&self) -> Totals {
        self.0.objects.totals()
    }

    /// Bytes that the disk has left for this store.
    pub fn disk_free(&self) -> Option<u64> {
        let disk = self.disk();
        (disk.size < u64::MAX).then_some(disk.free)
    }

    /// What is gained and lost from now on.
    pub fn watch(&self) -> broadcast::Receiver<StoreEvent> {
        self.0.events.subscribe()
    }

    /// Forgets an object, and remembers why. Whoever reads it reads on to its end. Tells whether it was here.
    pub async fn remove(&self, digest: &Digest, why: RemovalReason) -> io::Result<bool> {
        let (store, digest) = (self.clone(), digest.clone());
        off_thread(move || store.remove_now(&digest, why)).await
    }

    /// When and why an object went that is not here any more; of very many, the last are remembered.
    pub fn removal(&self, digest: &Digest) -> Option<Removal> {
        self.0.index.removal(digest)
    }

    /// Objects that went since this store was opened.
    pub fn removed(&self, why: RemovalReason) -> u64 {
        self.0.objects.removed(why)
    }

    /// Keeps which span brought an object, for those who read it later.
    pub fn record_brought(&self, digest: &Digest, trace: &TraceContext) {
        self.0.index.record_brought(digest, trace);
    }

    /// The span that brought the object.
    pub fn brought(&self, digest: &Digest) -> Option<TraceContext> {
        self.0.index.brought(digest)
    }

    /// Notes that the object's bytes came from this location, proven by their digest.
    pub fn record_delivered(&self, digest: &Digest, location: &Location) {
        let now = (self.0.clock)();
        self.0.index.record_delivered(digest, location, now);
    }

    /// Whether this location is known to have delivered the object's bytes.
    pub fn has_delivered(&self, digest: &Digest, location: &Location) -> bool {
        self.0.index.has_delivered(digest, location)
    }

    /// Notes that bytes of this object are about to come from this location. Returns whether all of them do that have
    /// landed before; if not, nobody may take the partial object for this location's.
    pub fn partial_reads_from(&self, digest: &Digest, location: &Location) -> bool {
        let (name, text) = (digest.as_str(), location.to_string());
        let is_begun = self.0.objects.is_partial(digest);
        if is_begun && self.get_note(PARTIAL_FROM, name).as_deref() != Some(text.as_bytes()) {
            self.put_note(PARTIAL_FROM, name, MIXED);
            return false;
        }
        self.put_note(PARTIAL_FROM, name, text.as_bytes());
        true
    }

    /// Notes that anybody may read the object at this location, as the manager found at `found_ms` (Unix milliseconds).
    /// The caller has verified the proof. Of two, the newest holds.
    pub fn record_public(&self, digest: &Digest, location: &Location, found_ms: i64, proof: &PublicProof) {
        self.0.index.record_public(digest, location, found_ms, proof);
    }

    /// When the manager last found that anybody may read the object at this location (Unix milliseconds).
    pub fn public_at(&self, digest: &Digest, location: &Location) -> Option<i64> {
        self.0.index.public_at(digest, location)
    }

    /// What shows to other peers that anybody may read the object at this location.
    pub fn public_proof(&self, digest: &Digest, location: &Location) -> Option<PublicProof> {
        self.0.index.public_proof(digest, location)
    }

    /// Notes what a registry said that a tag means; of two records the one that was seen last holds. Other peers are
    /// never told of it.
    pub fn record_tag(&self, tag: &TagRecord) {
        self.0.index.record_tag(tag);
    }

    /// Notes what a tag means by the manager's signature, which the caller has verified. Of two, the newest holds.
    pub fn record_signed_tag(&self, record: &TagRecord, signed: &Signed<TagMeaning>) {
        self.0.index.record_signed_tag(record, signed);
    }

    /// What shows to other peers what a tag means.
    pub fn signed_tag(&self, location: &str, tag: &str) -> Option<Signed<TagMeaning>> {
        self.0.index.signed_tag(location, tag)
    }

    /// What a tag means: the newest record, signed or not.
    pub fn tag(&self, location: &str, tag: &str) -> Option<TagRecord> {
        self.0.index.tag(location, tag)
    }

    /// Keeps a small value over a restart. A table holds some thousand notes; beyond that, others go.
    pub fn put_note(&self, table: &str, key: &str, value: &[u8]) {
        self.0.index.put_note(table, key, value);
    }

    pub fn get_note(&self, table: &str, key: &str) -> Option<Vec<u8>> {
        self.0.index.get_note(table, key)
    }

    pub fn remove_note(&self, table: &str, key: &str) {
        self.0.index.remove_note(table, key);
    }

    /// Every note of a table, as (key, value).
    pub fn all_notes(&self, table: &str) -> Vec<(String, Vec<u8>)> {
        self.0.index.all_notes(table)
    }

    /// Waits until origins, tags and notes that were recorded before are on the disk.
    pub async fn flush(&self) -> io::Result<()> {
        self.0.index.flush().await
    }

    fn now_ms(&self) -> i64 {
        (self.0.clock)()
    }

    /// Seconds.
    fn now_unix(&self) -> i64 {
        self.now_ms() / 1_000
    }

    fn layout(&self) -> &Layout {
        &self.0.layout
    }

    fn objects(&self) -> &Objects {
        &self.0.objects
    }

    fn open_partials(&self) -> OpenPartials {
        self.0.open_partials.clone()
    }

    /// Called with proven bytes only: the types see to it.
    async fn seal(
        &self,
        digest: &Digest,
        file: Arc<File>,
        about: About,
        hashes: ChunkHashes,
    ) -> io::Result<Sealed> {
        let (store, named, size) = (self.clone(), digest.clone(), about.size);
        off_thread(move || {
            name(&store.0.layout, &named, &file, &about, &hashes)?;
            store.0.objects.no_longer_partial(&named);
            let news = StoreEvent::Gained(held(&named, &about));
            store.0.index.forget_removal(&named);
            store.0.index.remove_note(PARTIAL_FROM, named.as_str());
            let in_use = store.0.objects.insert(named.clone(), about, store.now_unix());
            // Nobody listening is no fault.
            let _ = store.0.events.send(news);
            Ok(store.named(&named, size, in_use))
        })
        .await
    }
}

/// The bytes and their hashes are on the disk before the name is, and the name before anybody hears of it.
fn name(
    layout: &Layout,
    digest: &Digest,
    file: &File,
    about: &About,
    hashes: &ChunkHashes,
) -> io::Result<()> {
    file.sync_all()?;
    write_durably(&layout.sealed_chunks(digest), &chunks::sidecar(about, hashes)?)?;
    std::fs::rename(layout.partial(digest), layout.sealed(digest))?;
    sync_folder(&layout.shelf(digest))?;
    // A list of hashes that is left over is swept at the next start.
    let _ = std::fs::remove_file(layout.partial_chunks(digest));
    Ok(())
}

/// Replaces a small file as a whole. The folder is for the caller to sync.
fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::io::Write as _;
    let fresh = path.with_extension("chunks-new");
    let mut file = File::create(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(fresh, path)
}

fn held(digest: &Digest, about: &About) -> Holding {
    Holding {
        digest: digest.to_string(),
        size: about.size,
    }
}

/// Runs file work where it may block.
pub async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|cut| Err(io::Error::other(cut)))
}
