//! An object that is whole: proven, durable, under its name.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, Stream};
use oci::Digest;

use super::chunks::{ChunkHashes, read_sidecar};
use super::objects::InUse;
use super::off_thread;

/// Bytes that are read in one step: large enough that the way to a blocking thread costs little.
pub(crate) const READ_STEP: u64 = 512 * 1024;

/// Names a file whose bytes have this digest. While it is there, or bytes are read of it, the object is not evicted.
#[derive(Debug, Clone)]
pub struct Sealed {
    pub digest: Digest,
    pub size: u64,
    path: PathBuf,
    chunks: PathBuf,
    in_use: InUse,
}

impl Sealed {
    pub(super) fn new(digest: Digest, size: u64, path: PathBuf, chunks: PathBuf, in_use: InUse) -> Self {
        Self {
            digest,
            size,
            path,
            chunks,
            in_use,
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn open(&self) -> io::Result<File> {
        File::open(&self.path)
    }

    /// Blocks: call it off the async threads.
    pub fn chunk_hashes(&self) -> io::Result<ChunkHashes> {
        read_sidecar(&self.chunks).map(|(_, hashes)| hashes)
    }

    /// The bytes of `range`, read off the async threads. Opens the file before it returns, so that an
    /// object that is removed meanwhile is still read to its end.
    pub async fn read(&self, range: Range<u64>) -> io::Result<impl Stream<Item = io::Result<Bytes>> + use<>> {
        let (path, in_use) = (self.path.clone(), self.in_use.clone());
        let file = Arc::new(off_thread(move || File::open(path)).await?);
        let end = range.end.min(self.size);
        Ok(stream::try_unfold(range.start, move |at| {
            // Kept until the last byte is read.
            let (file, _in_use) = (file.clone(), &in_use);
            async move {
                if at >= end {
                    return Ok(None);
                }
                let bytes = read_at(file, at, (end - at).min(READ_STEP)).await?;
                let next = at + bytes.len() as u64;
                Ok(Some((bytes, next)))
            }
        }))
    }
}

/// Exactly `length` bytes from `offset`.
pub(crate) async fn read_at(file: Arc<File>, offset: u64, length: u64) -> io::Result<Bytes> {
    let length = usize::try_from(length).map_err(io::Error::other)?;
    off_thread(move || {
        let mut buffer = vec![0; length];
        file.read_exact_at(&mut buffer, offset)?;
        Ok(Bytes::from(buffer))
    })
    .await
}
