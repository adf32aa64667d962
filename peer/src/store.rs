//! Holds objects by digest.
//!
//! **Invariant:** a name in this store is a promise. If `sealed/ab/abcd…` exists, its bytes have that sha256
//! and were on the disk before they got the name. [`Partial`] and [`Sealed`] are two types; the only way
//! across is [`Partial::prove`] and [`Proven::seal`].
//!
//! Non-goals: this module does not know about registries that could be asked, peers or preheats.

mod chunks;
mod index;
mod layout;
mod partial;
mod recover;
mod sealed;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use oci::Digest;
use tokio::sync::broadcast;
use wire::{Held, ObjectKind, TagRecord};

pub use chunks::{About, CHUNK, ChunkHashes, last_chunk_begins};
pub use partial::{LandError, Partial, Proven, WrongBytes};
pub use sealed::Sealed;

pub(crate) use partial::hex;
pub(crate) use sealed::{READ_STEP, read_at};

use index::Index;
use layout::{Layout, remove_if_there, sync_folder};
use partial::OpenPartials;

/// News that a listener may be behind; one that is further behind reads the whole list.
const EVENTS: usize = 1024;

/// What happened to the set of sealed objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreEvent {
    Gained(Held),
    Lost(Digest),
}

/// The objects of one peer. Clones share them.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    layout: Layout,
    objects: RwLock<HashMap<Digest, About>>,
    index: Index,
    events: broadcast::Sender<StoreEvent>,
    open_partials: OpenPartials,
}

impl Store {
    /// Opens the store in the folder `dir`, or makes it. Reads names and sizes, not bytes.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let layout = Layout::new(dir);
        layout.make()?;
        // First, because it is locked: of two programs on one folder, the second stops here.
        let index = Index::open(&layout.index())?;
        let objects = recover::sealed_objects(&layout)?;
        recover::sweep_partials(&layout)?;
        Ok(Self(Arc::new(Inner {
            layout,
            objects: RwLock::new(objects),
            index,
            events: broadcast::channel(EVENTS).0,
            open_partials: OpenPartials::default(),
        })))
    }

    /// The folder that the store lies in.
    pub fn folder(&self) -> &Path {
        self.0.layout.root()
    }

    /// The object, if it is whole.
    pub fn sealed(&self, digest: &Digest) -> Option<Sealed> {
        let about = self.about(digest)?;
        let layout = &self.0.layout;
        let (path, chunks) = (layout.sealed(digest), layout.sealed_chunks(digest));
        Some(Sealed::new(digest.clone(), about.size, path, chunks))
    }

    /// What has landed of an object, or nothing yet. One at a time per digest.
    pub async fn partial(&self, digest: &Digest) -> io::Result<Partial> {
        Partial::open(self.clone(), digest.clone()).await
    }

    /// What is known of a sealed object beside its bytes.
    pub fn about(&self, digest: &Digest) -> Option<About> {
        self.0
            .objects
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(digest)
            .cloned()
    }

    /// Keeps with a sealed object what its bytes cannot tell. Nothing happens when it is not here.
    pub async fn describe(
        &self,
        digest: &Digest,
        media_type: Option<String>,
        kind: ObjectKind,
    ) -> io::Result<()> {
        let Some(known) = self.about(digest) else {
            return Ok(());
        };
        let about = About {
            media_type,
            kind,
            size: known.size,
        };
        if about == known {
            return Ok(());
        }
        let (store, digest) = (self.clone(), digest.clone());
        off_thread(move || {
            let path = store.0.layout.sealed_chunks(&digest);
            let (_, hashes) = chunks::read_sidecar(&path)?;
            write_durably(&path, &chunks::sidecar(&about, &hashes)?)?;
            store.objects_mut().insert(digest, about);
            Ok(())
        })
        .await
    }

    /// Everything that is whole.
    pub fn held(&self) -> Vec<Held> {
        self.0
            .objects
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .map(|(digest, about)| held(digest, about))
            .collect()
    }

    /// What is gained and lost from now on.
    pub fn watch(&self) -> broadcast::Receiver<StoreEvent> {
        self.0.events.subscribe()
    }

    /// Forgets an object. Whoever reads it reads on to its end.
    pub async fn remove(&self, digest: &Digest) -> io::Result<()> {
        let (store, digest) = (self.clone(), digest.clone());
        off_thread(move || {
            let known = store.objects_mut().remove(&digest).is_some();
            remove_if_there(&store.0.layout.sealed(&digest))?;
            remove_if_there(&store.0.layout.sealed_chunks(&digest))?;
            store.0.index.remove_origins(&digest);
            if known {
                // Nobody listening is no fault.
                let _ = store.0.events.send(StoreEvent::Lost(digest));
            }
            Ok(())
        })
        .await
    }

    /// Notes that a registry has the object in this repository, and whether anybody may read it there.
    /// A public one stays public: what everybody could read once is no secret.
    pub fn record_origin(&self, digest: &Digest, registry: &str, repository: &str, public: bool) {
        self.0.index.record_origin(digest, registry, repository, public);
    }

    /// Whether anybody may read the object in this repository.
    pub fn is_public(&self, registry: &str, repository: &str, digest: &Digest) -> bool {
        self.0.index.is_public(registry, repository, digest)
    }

    /// Notes what a tag means; of two records the one that was seen last holds.
    pub fn record_tag(&self, tag: &TagRecord) {
        self.0.index.record_tag(tag);
    }

    pub fn tag(&self, registry: &str, repository: &str, tag: &str) -> Option<TagRecord> {
        self.0.index.tag(registry, repository, tag)
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

    fn layout(&self) -> &Layout {
        &self.0.layout
    }

    fn open_partials(&self) -> OpenPartials {
        self.0.open_partials.clone()
    }

    fn objects_mut(&self) -> std::sync::RwLockWriteGuard<'_, HashMap<Digest, About>> {
        self.0.objects.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Called with proven bytes only: the types see to it.
    async fn seal(
        &self,
        digest: &Digest,
        file: Arc<File>,
        about: About,
        hashes: ChunkHashes,
    ) -> io::Result<Sealed> {
        let (store, named) = (self.clone(), digest.clone());
        let size = about.size;
        off_thread(move || {
            name(&store.0.layout, &named, &file, &about, &hashes)?;
            let news = StoreEvent::Gained(held(&named, &about));
            store.objects_mut().insert(named, about);
            // Nobody listening is no fault.
            let _ = store.0.events.send(news);
            Ok(())
        })
        .await?;
        let layout = &self.0.layout;
        let (path, chunks) = (layout.sealed(digest), layout.sealed_chunks(digest));
        Ok(Sealed::new(digest.clone(), size, path, chunks))
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

fn held(digest: &Digest, about: &About) -> Held {
    Held {
        digest: digest.to_string(),
        size: about.size,
    }
}

/// Runs file work where it may block.
pub(crate) async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|cut| Err(io::Error::other(cut)))
}
