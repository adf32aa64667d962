//! An object on its way: a file without a name of its own.
//!
//! **Invariant:** the only way from here to a name leads through [`Partial::prove`] (sha256 over every byte)
//! and [`Proven::seal`] (fsync, then rename). Bytes are hashed as they pass and never read again, except
//! after a crash: then the file is checked against its list of chunk hashes and goes on from the last good
//! chunk.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use oci::Digest;
use sha2::{Digest as _, Sha256};

use super::chunks::{CHUNK, CHUNK_LENGTH, ChunkHash, ChunkHashes, HASH_LENGTH};
use super::layout::{Layout, remove_if_there};
use super::{About, Sealed, Store, off_thread};

/// Bytes that have landed, and the hashes over them.
pub struct Partial {
    store: Store,
    digest: Digest,
    /// Away while a blocking thread works on it; gone for good when that work was cut.
    landing: Option<Box<Landing>>,
    len: u64,
    file: Arc<File>,
    only_one: OnlyOne,
}

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
            len: landing.len,
            file: landing.file.clone(),
            landing: Some(Box::new(landing)),
            store,
            digest,
            only_one,
        })
    }

    /// Bytes that have landed.
    pub fn len(&self) -> u64 {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// For readers that follow: everything below [`Partial::len`] can be read.
    pub fn file(&self) -> Arc<File> {
        self.file.clone()
    }

    /// The sha256 over what has landed, for whoever goes on without a disk.
    pub fn hash_so_far(&self) -> Sha256 {
        self.landing
            .as_ref()
            .map_or_else(Sha256::new, |landing| landing.sha.clone())
    }

    /// Lands a block. After an error, what had landed before is still good.
    pub async fn append(&mut self, block: Bytes) -> io::Result<()> {
        match self.land(block, None).await {
            Ok(()) => Ok(()),
            Err(LandError::Disk(error)) => Err(error),
            Err(LandError::WrongChunk) => Err(io::Error::other("an unchecked chunk cannot be wrong")),
        }
    }

    /// Lands one whole chunk if it is the one that `expected` names. Only at a chunk's beginning.
    pub async fn append_chunk(&mut self, chunk: Bytes, expected: [u8; 32]) -> Result<(), LandError> {
        self.land(chunk, Some(expected)).await
    }

    async fn land(&mut self, block: Bytes, expected: Option<ChunkHash>) -> Result<(), LandError> {
        let mut landing = self.landing.take().ok_or_else(cut_off)?;
        let work = move || {
            let landed = landing.land(&block, expected);
            Ok((landing, landed))
        };
        let (landing, landed) = off_thread(work).await?;
        self.len = landing.len;
        self.landing = Some(landing);
        landed
    }

    /// The only way to a name. Wrong bytes are removed at once.
    pub async fn prove(mut self) -> io::Result<Result<Proven, WrongBytes>> {
        let landing = self.landing.take().ok_or_else(cut_off)?;
        let (found, hashes) = off_thread(move || Ok(landing.finish())).await?;
        if found == self.digest.hex() {
            let hashes = ChunkHashes::new(self.len, hashes)
                .ok_or_else(|| io::Error::other("chunk hashes do not fit the object"))?;
            return Ok(Ok(Proven {
                store: self.store,
                digest: self.digest,
                file: self.file,
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

/// The part that blocking threads work on.
struct Landing {
    file: Arc<File>,
    hash_list: File,
    sha: Sha256,
    chunk: blake3::Hasher,
    hashes: Vec<ChunkHash>,
    len: u64,
}

impl Landing {
    fn resume(layout: &Layout, digest: &Digest) -> io::Result<Self> {
        let open = |path| {
            OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(path)
        };
        let mut landing = Self {
            file: Arc::new(open(layout.partial(digest))?),
            hash_list: open(layout.partial_chunks(digest))?,
            sha: Sha256::new(),
            chunk: blake3::Hasher::new(),
            hashes: Vec::new(),
            len: 0,
        };
        landing.take_what_is_good()?;
        Ok(landing)
    }

    /// Reads the file again up to the first chunk that its hash does not vouch for, and cuts off the rest.
    ///
    /// The chunk at the very end is left to be fetched again, so that a source has always something to send.
    fn take_what_is_good(&mut self) -> io::Result<()> {
        let there = self.file.metadata()?.len();
        let mut buffer = Vec::new();
        let mut listed = [0; HASH_LENGTH];
        while self.len + CHUNK < there {
            buffer.resize(CHUNK_LENGTH, 0);
            let listed_at = self.hashes.len() as u64 * HASH_LENGTH as u64;
            if self.hash_list.read_exact_at(&mut listed, listed_at).is_err() {
                break;
            }
            self.file.read_exact_at(&mut buffer, self.len)?;
            if blake3::hash(&buffer) != blake3::Hash::from_bytes(listed) {
                break;
            }
            self.sha.update(&buffer);
            self.hashes.push(listed);
            self.len += CHUNK;
        }
        let list_length = self.hashes.len() as u64 * HASH_LENGTH as u64;
        if there > self.len {
            self.file.set_len(self.len)?;
        }
        if self.hash_list.metadata()?.len() > list_length {
            self.hash_list.set_len(list_length)?;
        }
        Ok(())
    }

    fn land(&mut self, block: &[u8], expected: Option<ChunkHash>) -> Result<(), LandError> {
        if let Some(expected) = expected {
            let whole_chunk = self.len.is_multiple_of(CHUNK) && block.len() as u64 <= CHUNK;
            if !whole_chunk || blake3::hash(block) != blake3::Hash::from_bytes(expected) {
                return Err(LandError::WrongChunk);
            }
        }
        let mut rest = block;
        while !rest.is_empty() {
            let room = usize::try_from(CHUNK - self.len % CHUNK).unwrap_or(rest.len());
            let (piece, after) = rest.split_at(room.min(rest.len()));
            self.land_piece(piece)?;
            rest = after;
        }
        Ok(())
    }

    /// Written first and counted last: after an error the hashes are those of what had landed before.
    fn land_piece(&mut self, piece: &[u8]) -> io::Result<()> {
        self.file.write_all_at(piece, self.len)?;
        let landed = self.len + piece.len() as u64;
        if landed.is_multiple_of(CHUNK) {
            let hash = *self.chunk.clone().update(piece).finalize().as_bytes();
            let listed_at = self.hashes.len() as u64 * HASH_LENGTH as u64;
            self.hash_list.write_all_at(&hash, listed_at)?;
            self.hashes.push(hash);
            self.chunk.reset();
        } else {
            self.chunk.update(piece);
        }
        self.sha.update(piece);
        self.len = landed;
        Ok(())
    }

    /// The sha256 in hexadecimal, and the hashes of all chunks, the short one at the end included.
    fn finish(mut self) -> (String, Vec<ChunkHash>) {
        if !self.len.is_multiple_of(CHUNK) {
            self.hashes.push(*self.chunk.finalize().as_bytes());
        }
        (hex(&self.sha.finalize()), self.hashes)
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

pub(super) fn remove_files(layout: &Layout, digest: &Digest) -> io::Result<()> {
    remove_if_there(&layout.partial(digest))?;
    remove_if_there(&layout.partial_chunks(digest))
}

fn cut_off() -> io::Error {
    io::Error::other("writing was cut off: this peer is stopping")
}

pub(super) type OpenPartials = Arc<Mutex<HashSet<Digest>>>;

/// Two writers on one file would each break the other's promise.
struct OnlyOne {
    open: OpenPartials,
    digest: Digest,
}

impl OnlyOne {
    fn claim(open: OpenPartials, digest: &Digest) -> io::Result<Self> {
        let first = open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(digest.clone());
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
        self.open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.digest);
    }
}
