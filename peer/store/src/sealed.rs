//! A sealed object: proven, durable, under its name.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::stream::{self, Stream};
use oci::Digest;

use super::chunks::{ChunkHashes, read_sidecar};
use super::objects::InUse;
use super::open_files::OpenFiles;
use super::reading::read_some;

/// Names a file whose bytes have this digest. The object is not evicted while this exists or its bytes are
/// read.
#[derive(Debug, Clone)]
pub struct Sealed {
    pub digest: Digest,
    pub size: u64,
    path: PathBuf,
    chunks: PathBuf,
    in_use: InUse,
    open_files: OpenFiles,
}

impl Sealed {
    pub(super) fn new(
        digest: Digest,
        size: u64,
        (path, chunks): (PathBuf, PathBuf),
        in_use: InUse,
        open_files: OpenFiles,
    ) -> Self {
        Self {
            digest,
            size,
            path,
            chunks,
            in_use,
            open_files,
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn open(&self) -> io::Result<File> {
        File::open(&self.path)
    }

    /// Reads the sidecar. Blocks: call it off the async threads.
    pub fn chunk_hashes(&self) -> io::Result<ChunkHashes> {
        read_sidecar(&self.chunks).map(|(_, hashes)| hashes)
    }

    /// Reads the bytes of `range`. Opens the file before it returns, so that an object that is removed
    /// meanwhile is still read to its end. Reads nothing ahead of the caller.
    pub async fn read(&self, range: Range<u64>) -> io::Result<impl Stream<Item = io::Result<Bytes>> + use<>> {
        let file = self
            .open_files
            .open(self.in_use.slot(), self.path.clone())
            .await?;
        let (in_use, end) = (self.in_use.clone(), range.end.min(self.size));
        Ok(stream::try_unfold(range.start, move |at| {
            // Held until the last byte is read.
            let (file, _in_use) = (file.clone(), &in_use);
            async move {
                if at >= end {
                    return Ok(None);
                }
                let bytes = read_some(&file, at, end - at).await?;
                let next = at + bytes.len() as u64;
                Ok(Some((bytes, next)))
            }
        }))
    }
}
