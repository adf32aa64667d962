//! The handle of a store: what it is made of, and what it holds.
//!
//! The other modules of this crate add what can be done with it: opening, fetching, room, removal, rules.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Weak};

use oci::Digest;
use tokio::sync::broadcast;
use wire::Holding;

use super::blocking::off_thread;
use super::chunks::{self, About, ChunkHashes};
use super::claims::WriteClaims;
use super::index::Index;
use super::known_rules::RulesCell;
use super::layout::{Layout, sync_folder, write_durably};
use super::objects::{InUse, Objects, Totals};
use super::open_files::OpenFiles;
use super::promises::RoomKeeper;
use super::sealed::Sealed;

/// Unix milliseconds.
pub type Clock = Box<dyn Fn() -> i64 + Send + Sync>;

/// Table of notes: the location of the bytes of a partial object.
pub(super) const PARTIAL_FROM: &str = "partial-from";

/// What happened to the set of sealed objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreEvent {
    Gained(Holding),
    Lost(Digest),
}

/// The objects of one peer. Clones share them.
#[derive(Clone)]
pub struct Store(pub(super) Arc<StoreInner>);

/// A reference that does not keep the store open.
pub struct WeakStore(Weak<StoreInner>);

impl WeakStore {
    pub fn upgrade(&self) -> Option<Store> {
        self.0.upgrade().map(Store)
    }
}

pub(super) struct StoreInner {
    pub(super) layout: Layout,
    pub(super) objects: Objects,
    pub(super) index: Index,
    pub(super) events: broadcast::Sender<StoreEvent>,
    pub(super) claims: WriteClaims,
    pub(super) open_files: OpenFiles,
    pub(super) room: RoomKeeper,
    pub(super) rules: RulesCell,
    /// When the catalog was last written, in Unix seconds.
    pub(super) catalog_written: AtomicI64,
    pub(super) clock: Clock,
}

impl Store {
    pub fn downgrade(&self) -> WeakStore {
        WeakStore(Arc::downgrade(&self.0))
    }

    /// The store's folder.
    pub fn folder(&self) -> &Path {
        self.0.layout.root()
    }

    /// Returns the object if it is sealed. That counts as a use. The object is not evicted while a clone of the
    /// result exists.
    pub fn sealed(&self, digest: &Digest) -> Option<Sealed> {
        let (size, in_use) = self.0.objects.use_now(digest, self.now_unix())?;
        Some(self.named(digest, size, in_use))
    }

    pub(super) fn named(&self, digest: &Digest, size: u64, in_use: InUse) -> Sealed {
        let layout = &self.0.layout;
        let paths = (layout.sealed(digest), layout.sealed_chunks(digest));
        Sealed::new(digest.clone(), size, paths, in_use, self.0.open_files.clone())
    }

    /// Kind, media type and size of a sealed object.
    pub fn about(&self, digest: &Digest) -> Option<About> {
        self.0.objects.about(digest)
    }

    /// All sealed objects.
    pub fn held(&self) -> Vec<Holding> {
        self.0.objects.map(held)
    }

    /// All sealed objects with their descriptions, in the order of their digests.
    pub fn list(&self) -> Vec<(Digest, About)> {
        let mut list = self
            .0
            .objects
            .map(|digest, about| (digest.clone(), about.clone()));
        list.sort_by(|(one, _), (other, _)| one.cmp(other));
        list
    }

    /// Counts of objects and bytes. Reads no disk.
    pub fn totals(&self) -> Totals {
        self.0.objects.totals()
    }

    /// Events from now on.
    pub fn watch(&self) -> broadcast::Receiver<StoreEvent> {
        self.0.events.subscribe()
    }

    pub(super) fn now_ms(&self) -> i64 {
        (self.0.clock)()
    }

    /// Unix seconds.
    pub(super) fn now_unix(&self) -> i64 {
        self.now_ms() / 1_000
    }

    pub(super) fn layout(&self) -> &Layout {
        &self.0.layout
    }

    /// Gives proven bytes their name. The types [`Proven`](crate::Proven) and
    /// [`ProvenBytes`](crate::ProvenBytes) make sure that nothing else gets here.
    pub(super) async fn seal(
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
            // No listener is no fault.
            let _ = store.0.events.send(news);
            Ok(store.named(&named, size, in_use))
        })
        .await
    }
}

/// Writes in this order: bytes, hashes, name. Listeners are notified after that.
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
    // A leftover list of hashes is removed at the next start.
    let _ = std::fs::remove_file(layout.partial_chunks(digest));
    Ok(())
}

fn held(digest: &Digest, about: &About) -> Holding {
    Holding {
        digest: digest.to_string(),
        size: about.size,
    }
}
