//! A partial object: a file without a name of its own.
//!
//! **Invariant:** the only way to a name is [`Partial::prove`] (the digest of every byte) and [`Proven::seal`]
//! (fsync, then rename). Bytes are hashed as they pass; chunks that land out of order are hashed when the
//! frontier reaches them. After a crash the file is checked against its list of chunk hashes, and good chunks
//! are kept.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use oci::{Digest, DigestHasher};

use super::blocking::off_thread;
use super::chunks::{About, CHUNK, ChunkHash, ChunkHashes};
use super::claims::WriteClaim;
use super::handle::Store;
use super::landing::{LandError, Landing};
use super::layout::remove_partial;
use super::sealed::Sealed;
use super::small::WrongBytes;

/// The bytes that have landed and their hashes. Several sources may land bytes at the same time.
pub struct Partial {
    store: Store,
    digest: Digest,
    landing: Arc<Landing>,
    claim: WriteClaim,
}

/// A view of a partial object. It may outlive the object.
#[derive(Clone)]
pub struct PartialView(Arc<Landing>);

/// All bytes are here and have the digest. Readers may have the last chunk now.
pub struct Proven {
    store: Store,
    digest: Digest,
    file: Arc<File>,
    hashes: ChunkHashes,
    _claim: WriteClaim,
}

impl Store {
    /// Opens a partial object, or begins one. Each digest has one writer at a time.
    pub async fn partial(&self, digest: &Digest) -> io::Result<Partial> {
        Partial::open(self.clone(), digest.clone()).await
    }
}

impl Partial {
    /// Opens the partial object of `digest`, or begins one.
    pub(super) async fn open(store: Store, digest: Digest) -> io::Result<Self> {
        let claim = WriteClaim::take(store.0.claims.clone(), &digest)?;
        let layout = store.layout().clone();
        let named = digest.clone();
        let landing = off_thread(move || Landing::resume(&layout, &named)).await?;
        store.0.objects.add_partial(&digest);
        Ok(Self {
            landing: Arc::new(landing),
            store,
            digest,
            claim,
        })
    }

    /// The frontier: bytes that have landed from the start without a gap.
    pub fn len(&self) -> u64 {
        self.landing.frontier()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The file, for readers that follow.
    pub fn file(&self) -> Arc<File> {
        self.landing.file()
    }

    pub fn view(&self) -> PartialView {
        PartialView(self.landing.clone())
    }

    /// The hasher after the bytes before the frontier, for readers that continue without the disk.
    pub fn hash_so_far(&self) -> DigestHasher {
        self.landing.hash_so_far()
    }

    /// Lands a block at the frontier. After an error, the bytes that landed before are still valid.
    pub async fn append(&self, block: Bytes) -> io::Result<()> {
        self.append_at(self.len(), block).await
    }

    /// Lands a block that begins at `at`: at the frontier, or before it when another source was faster.
    pub async fn append_at(&self, at: u64, block: Bytes) -> io::Result<()> {
        let landing = self.landing.clone();
        off_thread(move || landing.append(at, &block)).await
    }

    /// Lands one whole chunk if it has the `expected` hash. Only the last chunk may be shorter.
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

    /// Checks the digest. Wrong bytes are removed at once.
    pub async fn prove(self) -> io::Result<Result<Proven, WrongBytes>> {
        let landing = self.landing.clone();
        let (found, hashes) = off_thread(move || Ok(landing.finish())).await?;
        if found == self.digest {
            let hashes = ChunkHashes::new(self.len(), hashes)
                .ok_or_else(|| io::Error::other("chunk hashes do not fit the object"))?;
            return Ok(Ok(Proven {
                file: self.file(),
                store: self.store,
                digest: self.digest,
                hashes,
                _claim: self.claim,
            }));
        }
        let digest = self.digest.clone();
        self.abandon().await?;
        Ok(Err(WrongBytes { digest, found }))
    }

    /// Removes the files. Readers with an open file can still read it.
    pub async fn abandon(self) -> io::Result<()> {
        let layout = self.store.layout().clone();
        let digest = self.digest.clone();
        off_thread(move || remove_partial(&layout, &digest)).await?;
        self.store.0.objects.no_longer_partial(&self.digest);
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

    /// The end of the bytes that can be read from `at` without a gap, at most `size`.
    pub fn readable_from(&self, at: u64, size: u64) -> u64 {
        self.0.readable_from(at).min(size)
    }

    /// Whether the whole chunk is here, of an object of this size.
    pub fn has_chunk(&self, number: u64, size: u64) -> bool {
        self.0.has_chunk(number, size)
    }

    /// Hashes of all chunks of a part, or `None` when some are missing.
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

    /// Hashes of the chunks that are here from `number` on, each with its number.
    pub fn hashes_from(&self, number: u64) -> Vec<(u64, ChunkHash)> {
        self.0.hashes_from(number)
    }
}

impl PartialView {
    /// Bytes that have landed, including chunks beyond the frontier.
    pub fn landed(&self) -> u64 {
        let frontier = self.frontier();
        let beyond = self.hashes_from(frontier.div_ceil(CHUNK)).len() as u64;
        frontier.saturating_add(beyond.saturating_mul(CHUNK))
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
