//! BLAKE3 hashes of every [`CHUNK`] of an object, made beside its digest, and the sidecar file of a sealed
//! object.
//!
//! The sidecar also keeps what the bytes do not say (kind, media type), so that losing the index loses no
//! object. The sidecar of a partial object is the bare list of hashes, written as chunks land.

use std::io::{self, Read};
use std::path::Path;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use wire::ObjectKind;
pub use wire::between_peers::ChunkHash;
pub(crate) use wire::between_peers::HASH_LENGTH;

/// The unit of verification.
pub const CHUNK: u64 = 1024 * 1024;
/// [`CHUNK`] as a length in memory.
pub(crate) const CHUNK_LENGTH: usize = 1024 * 1024;
const MAGIC: &[u8; 8] = b"stokchk1";
/// Longer headers count as damage: a media type is short.
const HEADER_LIMIT: u32 = 4096;

/// What the bytes of an object do not say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    pub media_type: Option<String>,
    pub kind: ObjectKind,
    pub size: u64,
}

/// One hash per chunk of an object of known size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkHashes {
    size: u64,
    hashes: Vec<ChunkHash>,
}

impl ChunkHashes {
    /// Returns `None` unless there is exactly one hash for each chunk.
    pub fn new(size: u64, hashes: Vec<[u8; 32]>) -> Option<Self> {
        (hashes.len() as u64 == chunks_of(size)).then_some(Self { size, hashes })
    }

    /// Reads 32 bytes for each chunk, one after the other.
    pub fn from_bytes(size: u64, bytes: &[u8]) -> Option<Self> {
        let (hashes, rest) = bytes.as_chunks::<HASH_LENGTH>();
        if rest.is_empty() {
            Self::new(size, hashes.to_vec())
        } else {
            None
        }
    }

    pub fn to_bytes(&self) -> Bytes {
        Bytes::from(self.hashes.concat())
    }

    /// All hashes, each with the number of its chunk.
    pub fn listed(&self) -> Vec<(u64, ChunkHash)> {
        (0..).zip(self.hashes.iter().copied()).collect()
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    /// The hash of the chunk that begins at `offset`.
    pub fn of_chunk_at(&self, offset: u64) -> Option<ChunkHash> {
        let number = usize::try_from(offset / CHUNK).ok()?;
        self.hashes.get(number).copied()
    }
}

/// The number of chunks of an object of `size` bytes.
fn chunks_of(size: u64) -> u64 {
    size.div_ceil(CHUNK)
}

/// Where the last chunk of an object of `size` bytes begins.
pub fn last_chunk_begins(size: u64) -> u64 {
    size.saturating_sub(1) / CHUNK * CHUNK
}

/// Encodes the sidecar of a sealed object.
pub(crate) fn sidecar(about: &About, hashes: &ChunkHashes) -> io::Result<Vec<u8>> {
    let header = serde_json::to_vec(about)?;
    let length = u32::try_from(header.len()).map_err(io::Error::other)?;
    Ok([
        MAGIC.as_slice(),
        &length.to_le_bytes(),
        &header,
        &hashes.hashes.concat(),
    ]
    .concat())
}

/// Reads the description from a sidecar, without the hashes.
pub(crate) fn read_about(path: &Path) -> io::Result<About> {
    let mut start = Vec::with_capacity(512);
    std::fs::File::open(path)?.take(512).read_to_end(&mut start)?;
    match split(&start) {
        Some((about, _)) => Ok(about),
        None => parse(&std::fs::read(path)?).map(|(about, _)| about),
    }
}

/// Reads the description and the hashes from a sidecar.
pub(crate) fn read_sidecar(path: &Path) -> io::Result<(About, ChunkHashes)> {
    parse(&std::fs::read(path)?)
}

fn parse(bytes: &[u8]) -> io::Result<(About, ChunkHashes)> {
    split(bytes)
        .and_then(|(about, hashes)| {
            let hashes = ChunkHashes::from_bytes(about.size, hashes)?;
            Some((about, hashes))
        })
        .ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                "the sidecar of chunk hashes is damaged",
            )
        })
}

fn split(bytes: &[u8]) -> Option<(About, &[u8])> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length);
    if length > HEADER_LIMIT {
        return None;
    }
    let (header, hashes) = rest.split_at_checked(length as usize)?;
    Some((serde_json::from_slice(header).ok()?, hashes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_last_chunk_is_never_empty_and_never_longer_than_a_chunk() {
        for size in [1, 2, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 1] {
            let last = size - last_chunk_begins(size);
            assert!((1..=CHUNK).contains(&last), "{size}: {last}");
        }
        assert_eq!(last_chunk_begins(0), 0);
    }

    #[test]
    fn hashes_must_fit_the_size() {
        assert!(ChunkHashes::new(CHUNK + 1, vec![[0; 32]]).is_none());
        assert!(ChunkHashes::new(CHUNK, vec![[0; 32]]).is_some());
        assert!(ChunkHashes::new(0, vec![]).is_some());
        assert!(ChunkHashes::from_bytes(1, &[0; 33]).is_none());
    }

    #[test]
    fn a_damaged_sidecar_is_refused() {
        let about = About {
            media_type: Some("application/x".to_owned()),
            kind: ObjectKind::Blob,
            size: 3,
        };
        let hashes = ChunkHashes::new(3, vec![[7; 32]]).expect("fits");
        let bytes = sidecar(&about, &hashes).expect("written");
        assert_eq!(parse(&bytes).expect("read"), (about, hashes));
        assert!(parse(&bytes[..bytes.len() - 1]).is_err());
        assert!(parse(b"").is_err());
    }
}
