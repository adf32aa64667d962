//! An object on its way: a file without a name of its own.
//!
//! **Invariant:** the only way from here to a name leads through [`Partial::prove`] (sha256 over every byte)
//! and [`Proven::seal`] (fsync, then rename). Bytes are hashed as they pass; chunks that come before their turn are
//! hashed when it is theirs. After a crash the file is checked against its list of chunk hashes and goes on with what
//! is good.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use oci::Digest;
use parking_lot::Mutex;
use sha2::Sha256;

use super::chunks::{CHUNK, ChunkHash, ChunkHashes};
use super::landing::Landing;
use super::layout::{Layout, remove_if_there};
use super::{About, Sealed, Store, off_thread};

/// Bytes that have landed, and the hashes over them. Several sources may land bytes at the same time.
pub struct Partial {
    store: Store,
    digest: Digest,
    landing: Arc<Landing>,
    only_one: OnlyOne,
}

/// What can be seen of an object on its way; outlives it.
#[derive(Clone)]
pub struct PartialView(Arc<Landing>);

/// All bytes are here and their sha256 is the digest. Readers may have the last chunk now.
pub struct Proven {
    store: Store,
    digest: Digest,
    file: Arc<File>,
    hashes: ChunkHashes,
    _only_one: OnlyOne,
}

/// The bytes are not what the digest promises. They have been removed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the bytes of {digest} have another sha256: {found}")]
pub struct WrongBytes {
    pub digest: Digest,
    pub found: String,
}

/// Why a block could not land.
#[derive(Debug, thiserror::Error)]
pub enum LandError {
    /// Nothing of the chunk was written.
    #[error("a chunk has other bytes than its hash promises")]
    WrongChunk,
    #[error(transparent)]
    Disk(#[from] io::Error),
}

impl Partial {
    /// Opens what is there of `digest`, or nothing. One at a time per digest.
    pub(super) async fn open(store: Store, digest: Digest) -> io::Result<Self> {
        let only_one = OnlyOne::claim(store.open_partials(), &digest)?;
        let layout = store.layout().clone();
        let named = digest.clone();
        let landing = off_thread(move || Landing::resume(&layout, &named)).await?;
        store.objects().begun(&digest);
        Ok(Self {
            landing: Arc::new(landing),
            store,
            digest,
            only_one,
        })
    }

    /// The frontier: bytes that have landed one after the other, from the first one on.
    pub fn len(&self) -> u64 {
        self.landing.frontier()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// For readers that follow.
    pub fn file(&self) -> Arc<File> {
        self.landing.file()
    }

    pub fn view(&self) -> PartialView {
        PartialView(self.landing.clone())
    }

    /// The sha256 over what lies before the frontier, for whoever goes on without a disk.
    pub fn hash_so_far(&self) -> Sha256 {
        self.landing.hash_so_far()
    }

    /// Lands a block at the frontier. After an error, what had landed before is still good.
    pub async fn append(&self, block: Bytes) -> io::Result<()> {
        self.append_at(self.len(), block).await
    }

    /// Lands a block that begins at `at`: at the frontier, or before it if others were quicker.
    pub async fn append_at(&self, at: u64, block: Bytes) -> io::Result<()> {
        let landing = self.landing.clone();
        off_thread(move || landing.append(at, &block)).await
    }

    /// Lands one whole chunk, if it is the one that `expected` names; the last one may be shorter than others.
    pub async fn land_chunk(
        &self,
        number: u64,
        chunk: Bytes,
        expected: Option<[u8; 32]>,
    ) -> Result<(), LandError> {
        let landing = self.landing.clone();
        let landed = off_thread(move || Ok(landing.land_chunk(number, &chunk, expected))).await;
        landed.map_err(LandError::from)?
    }

    /// The only way to a name. Wrong bytes are removed at once.
    pub async fn prove(self) -> io::Result<Result<Proven, WrongBytes>> {
        let landing = self.landing.clone();
        let (found, hashes) = off_thread(move || Ok(landing.finish())).await?;
        if found == self.digest.hex() {
            let hashes = ChunkHashes::new(self.len(), hashes)
                .ok_or_else(|| io::Error::other("chunk hashes do not fit the object"))?;
            return Ok(Ok(Proven {
                file: self.file(),
                store: self.store,
                digest: self.digest,
                hashes,
                _only_one: self.only_one,
            }));
        }
        let digest = self.digest.clone();
        self.abandon().await?;
        Ok(Err(WrongBytes {
            digest,
            found: format!("sha256:{found}"),
        }))
    }

    /// Removes the files. Readers that hold the file open keep what they have.
    pub async fn abandon(self) -> io::Result<()> {
        let layout = self.store.layout().clone();
        let digest = self.digest.clone();
        off_thread(move || remove_files(&layout, &digest)).await?;
        self.store.objects().no_longer_partial(&self.digest);
        Ok(())
    }
}

impl PartialView {
    pub(super) fn frontier(&self) -> u64 {
        self.0.frontier()
    }

    pub fn file(&self) -> Arc<File> {
        self.0.file()
    }

    /// Where the bytes end that can be read from `at` on without a gap; not beyond `size`.
    pub fn readable_from(&self, at: u64, size: u64) -> u64 {
        self.0.readable_from(at).min(size)
    }

    /// Whether all of the chunk is there, of an object of this size.
    pub fn has_chunk(&self, number: u64, size: u64) -> bool {
        self.0.has_chunk(number, size)
    }

    /// Hashes of all chunks of a part; none unless all of them are there.
    pub fn hashes_of(&self, part: &Range<u64>, size: u64) -> Option<Vec<ChunkHash>> {
        let (first, end) = (part.start / CHUNK, part.end.min(size).div_ceil(CHUNK));
        let there = self.0.hashes_from(first);
        let hashes: Vec<ChunkHash> = there
            .into_iter()
            .take_while(|(number, _)| *number < end)
            .map(|(_, hash)| hash)
            .collect();
        (hashes.len() as u64 == end.saturating_sub(first)).then_some(hashes)
    }

    /// Hashes of the chunks that are there, from this one on, with their numbers.
    pub fn hashes_from(&self, number: u64) -> Vec<(u64, ChunkHash)> {
        self.0.hashes_from(number)
    }
}

impl Proven {
    pub fn size(&self) -> u64 {
        self.hashes.size()
    }

    pub fn file(&self) -> Arc<File> {
        self.file.clone()
    }

    /// Makes the bytes durable, then gives them their name.
    pub async fn seal(self, media_type: Option<String>, kind: wire::ObjectKind) -> io::Result<Sealed> {
        let about = About {
            media_type,
            kind,
            size: self.hashes.size(),
        };
        self.store
            .seal(&self.digest, self.file.clone(), about, self.hashes)
            .await
    }
}

pub(super) fn remove_files(layout: &Layout, digest: &Digest) -> io::Result<()> {
    remove_if_there(&layout.partial(digest))?;
    remove_if_there(&layout.partial_chunks(digest))
}

pub(super) type OpenPartials = Arc<Mutex<HashSet<Digest>>>;

/// Two writers on one file would each break the other's promise.
pub(super) struct OnlyOne {
    open: OpenPartials,
    digest: Digest,
}

impl OnlyOne {
    pub(super) fn claim(open: OpenPartials, digest: &Digest) -> io::Result<Self> {
        let first = open.lock().insert(digest.clone());
        if first {
            Ok(Self {
                open,
                digest: digest.clone(),
            })
        } else {
            let text = format!("{digest} is being written already");
            Err(io::Error::new(io::ErrorKind::ResourceBusy, text))
        }
    }
}

impl Drop for OnlyOne {
    fn drop(&mut self) {
        self.open.lock().remove(&self.digest);
    }
}
