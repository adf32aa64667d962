//! Where the bytes of an object land: at the frontier one after the other, and chunks beyond it in any order.
//!
//! **Invariant:** what has landed is never written again. The object's hasher covers the bytes up to the *frontier*; a
//! chunk beyond it is hashed when the frontier gets there. A chunk is listed once all of it is written.
//!
//! Everything here blocks: call it off the async threads.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use oci::{Digest, DigestHasher};
use parking_lot::{Mutex, MutexGuard};

use super::chunk_set::ChunkSet;
use super::chunks::{CHUNK, CHUNK_LENGTH, ChunkHash, HASH_LENGTH};
use super::layout::Layout;

/// Chunks beyond the frontier whose bytes stay in memory, so that hashing them needs no second read.
const KEPT_AHEAD: usize = 8;
/// An entry of the list without a hash.
const NO_HASH: ChunkHash = [0; HASH_LENGTH];

/// Why bytes could not land.
#[derive(Debug, thiserror::Error)]
pub enum LandError {
    /// Nothing of the chunk was written.
    #[error("a chunk has other bytes than its hash promises")]
    WrongChunk,
    #[error(transparent)]
    Disk(#[from] io::Error),
}

pub(super) struct Landing {
    file: Arc<File>,
    hash_list: File,
    state: Mutex<LandingState>,
}

struct LandingState {
    /// Bytes from the start without a gap, all hashed.
    frontier: u64,
    hasher: DigestHasher,
    /// The hasher of the chunk that the frontier is in.
    chunk: blake3::Hasher,
    hashes: Vec<Option<ChunkHash>>,
    there: ChunkSet,
    ahead: BTreeMap<u64, Bytes>,
    /// Number and length of the last chunk, if it is shorter than the others.
    short: Option<(u64, u64)>,
}

impl Landing {
    pub(super) fn resume(layout: &Layout, digest: &Digest) -> io::Result<Self> {
        let open = |path| {
            OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(path)
        };
        let mut state = LandingState {
            frontier: 0,
            hasher: digest.hasher(),
            chunk: blake3::Hasher::new(),
            hashes: Vec::new(),
            there: ChunkSet::default(),
            ahead: BTreeMap::new(),
            short: None,
        };
        let file = open(layout.partial(digest))?;
        let hash_list = open(layout.partial_chunks(digest))?;
        state.take_good_chunks(&file, &hash_list)?;
        Ok(Self {
            file: Arc::new(file),
            hash_list,
            state: Mutex::new(state),
        })
    }

    pub(super) fn file(&self) -> Arc<File> {
        self.file.clone()
    }

    pub(super) fn frontier(&self) -> u64 {
        self.state().frontier
    }

    pub(super) fn hash_so_far(&self) -> DigestHasher {
        self.state().hasher.clone()
    }

    /// The end of the bytes that can be read from `at` without a gap; `at` if there are none. May lie beyond
    /// the object's end if its last chunk is here: the caller knows the size.
    pub(super) fn readable_from(&self, at: u64) -> u64 {
        let state = self.state();
        if at < state.frontier {
            return state.frontier.max(state.there_from(state.frontier));
        }
        state.there_from(at).max(at)
    }

    /// Whether the whole chunk is here, of an object of this size.
    pub(super) fn has_chunk(&self, number: u64, size: u64) -> bool {
        let end = ((number + 1).saturating_mul(CHUNK)).min(size);
        let state = self.state();
        state.frontier >= end || state.there.contains(number)
    }

    /// Hashes of the chunks that are here from `number` on, each with its number.
    pub(super) fn hashes_from(&self, number: u64) -> Vec<(u64, ChunkHash)> {
        let state = self.state();
        let skipped = usize::try_from(number).unwrap_or(usize::MAX);
        let listed = state.hashes.iter().enumerate().skip(skipped);
        listed
            .filter_map(|(at, hash)| hash.map(|hash| (at as u64, hash)))
            .collect()
    }

    /// Lands bytes that begin at `at`, at or before the frontier. Skips what is here already.
    pub(super) fn append(&self, at: u64, block: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        let known = usize::try_from(state.frontier.saturating_sub(at)).unwrap_or(usize::MAX);
        let mut rest = block.get(known..).unwrap_or_default();
        if at > state.frontier {
            return Err(io::Error::other(
                "block not written: bytes beyond a gap land as whole chunks only",
            ));
        }
        while !rest.is_empty() {
            let room = usize::try_from(CHUNK - state.frontier % CHUNK).unwrap_or(rest.len());
            let (head, after) = rest.split_at(room.min(rest.len()));
            let before = state.frontier;
            self.land_in_chunk(&mut state, head)?;
            self.absorb(&mut state)?;
            // The frontier may have moved over chunks that were here.
            let jumped = usize::try_from(state.frontier - before).unwrap_or(usize::MAX) - head.len();
            rest = after.get(jumped..).unwrap_or_default();
        }
        Ok(())
    }

    /// Lands a whole chunk anywhere in the object. Only the last one may be shorter.
    pub(super) fn land_chunk(
        &self,
        number: u64,
        chunk: &Bytes,
        expected: Option<ChunkHash>,
    ) -> Result<(), LandError> {
        let hash = *blake3::hash(chunk).as_bytes();
        if expected.is_some_and(|expected| expected != hash) || chunk.is_empty() || chunk.len() > CHUNK_LENGTH
        {
            return Err(LandError::WrongChunk);
        }
        let mut state = self.state();
        let begins = number * CHUNK;
        if state.there.contains(number) || state.frontier >= begins + chunk.len() as u64 {
            return Ok(());
        }
        if (chunk.len() as u64) < CHUNK {
            state.short = Some((number, chunk.len() as u64));
        }
        if state.frontier > begins {
            return Ok(self.land_rest(&mut state, number, chunk, hash)?);
        }
        self.file.write_all_at(chunk, begins)?;
        self.list(&mut state, number, hash)?;
        if state.ahead.len() < KEPT_AHEAD {
            state.ahead.insert(number, chunk.clone());
        }
        Ok(self.absorb(&mut state)?)
    }

    /// Lands the rest of a chunk whose beginning has landed.
    fn land_rest(
        &self,
        state: &mut LandingState,
        number: u64,
        chunk: &[u8],
        hash: ChunkHash,
    ) -> io::Result<()> {
        let known = usize::try_from(state.frontier - number * CHUNK).unwrap_or(usize::MAX);
        let rest = chunk.get(known..).unwrap_or_default();
        self.file.write_all_at(rest, state.frontier)?;
        self.list(state, number, hash)?;
        state.chunk.reset();
        state.take_in(rest);
        self.absorb(state)
    }

    /// The digest and the hashes of all chunks, including the short one at the end.
    pub(super) fn finish(&self) -> (Digest, Vec<ChunkHash>) {
        let mut state = self.state();
        let last = state.frontier.div_ceil(CHUNK);
        if (state.hashes.len() as u64) < last {
            // Readers that follow see this hash too.
            let hash = *state.chunk.finalize().as_bytes();
            state.list(last - 1, hash);
        }
        let hashes = state.hashes.iter().copied().map_while(|hash| hash).collect();
        (state.hasher.clone().finish(), hashes)
    }

    /// Writes first and counts last: after an error the hashes are still those of the bytes that landed before.
    fn land_in_chunk(&self, state: &mut LandingState, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, state.frontier)?;
        let landed = state.frontier + bytes.len() as u64;
        if landed.is_multiple_of(CHUNK) {
            let hash = *state.chunk.clone().update(bytes).finalize().as_bytes();
            self.list(state, state.frontier / CHUNK, hash)?;
            state.chunk.reset();
        } else {
            state.chunk.update(bytes);
        }
        state.hasher.update(bytes);
        state.frontier = landed;
        Ok(())
    }

    fn list(&self, state: &mut LandingState, number: u64, hash: ChunkHash) -> io::Result<()> {
        self.hash_list.write_all_at(&hash, number * HASH_LENGTH as u64)?;
        state.list(number, hash);
        Ok(())
    }

    /// Moves the frontier over chunks that are here.
    fn absorb(&self, state: &mut LandingState) -> io::Result<()> {
        while state.frontier.is_multiple_of(CHUNK) && state.there.contains(state.frontier / CHUNK) {
            let number = state.frontier / CHUNK;
            if let Some(chunk) = state.ahead.remove(&number) {
                state.take_in(&chunk);
            } else {
                let mut chunk = vec![0; state.length_of(number)];
                self.file.read_exact_at(&mut chunk, state.frontier)?;
                state.take_in(&chunk);
            }
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, LandingState> {
        self.state.lock()
    }
}

impl LandingState {
    fn take_in(&mut self, chunk: &[u8]) {
        self.hasher.update(chunk);
        self.frontier += chunk.len() as u64;
    }

    fn length_of(&self, number: u64) -> usize {
        match self.short {
            Some((last, length)) if last == number => usize::try_from(length).unwrap_or(CHUNK_LENGTH),
            _ => CHUNK_LENGTH,
        }
    }

    fn there_from(&self, at: u64) -> u64 {
        let number = at / CHUNK;
        let missing = self.there.first_missing_from(number);
        if missing == number { at } else { missing * CHUNK }
    }

    fn list(&mut self, number: u64, hash: ChunkHash) {
        let Ok(at) = usize::try_from(number) else { return };
        if at >= self.hashes.len() {
            self.hashes.resize(at + 1, None);
        }
        if let Some(place) = self.hashes.get_mut(at) {
            *place = Some(hash);
        }
        self.there.insert(number);
    }

    /// Reads the listed chunks and keeps those whose hash matches. Cuts the file after the last one.
    ///
    /// The last chunk is always fetched again, so that a source has something to send.
    fn take_good_chunks(&mut self, file: &File, hash_list: &File) -> io::Result<()> {
        let there = file.metadata()?.len();
        let mut buffer = vec![0; CHUNK_LENGTH];
        let mut listed = NO_HASH;
        let mut good_until = 0;
        for number in 0..there.saturating_sub(1) / CHUNK {
            if hash_list
                .read_exact_at(&mut listed, number * HASH_LENGTH as u64)
                .is_err()
            {
                break;
            }
            if listed == NO_HASH {
                continue;
            }
            file.read_exact_at(&mut buffer, number * CHUNK)?;
            if blake3::hash(&buffer) != blake3::Hash::from_bytes(listed) {
                continue;
            }
            self.list(number, listed);
            good_until = (number + 1) * CHUNK;
            if self.frontier == number * CHUNK {
                self.take_in(&buffer);
            }
        }
        if there > good_until {
            file.set_len(good_until)?;
        }
        self.forget_the_rest(hash_list)
    }

    /// Removes the hashes of chunks that are not here from the list.
    fn forget_the_rest(&self, hash_list: &File) -> io::Result<()> {
        hash_list.set_len(self.hashes.len() as u64 * HASH_LENGTH as u64)?;
        for (number, hash) in self.hashes.iter().enumerate() {
            if hash.is_none() {
                hash_list.write_all_at(&NO_HASH, number as u64 * HASH_LENGTH as u64)?;
            }
        }
        Ok(())
    }
}
