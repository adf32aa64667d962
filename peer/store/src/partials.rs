//! Objects that were begun, seen from outside: what they take, and how those go that nobody fetches any more.

use std::io;
use std::os::unix::fs::MetadataExt as _;

use oci::Digest;

use super::{Store, off_thread, partial};

/// Bytes of a block as `stat` counts it.
const BLOCK: u64 = 512;

/// An object that was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Resting {
    pub(super) digest: Digest,
    /// What it takes of the disk.
    pub(super) bytes: u64,
    /// When it was last written, in Unix seconds.
    pub(super) written: i64,
}

impl Store {
    /// What has landed of an object that is begun and not whole; gaps in it do not count.
    pub async fn landed(&self, digest: &Digest) -> Option<u64> {
        if !self.0.objects.is_partial(digest) {
            return None;
        }
        let path = self.layout().partial(digest);
        let file = off_thread(move || std::fs::metadata(path)).await.ok()?;
        Some(file.len().min(file.blocks().saturating_mul(BLOCK)))
    }

    /// Every object that was begun, the one that was left longest ago first. Blocks.
    pub(super) fn begun(&self) -> Vec<Resting> {
        let mut begun: Vec<Resting> = self
            .0
            .objects
            .partial()
            .into_iter()
            .filter_map(|digest| {
                let file = std::fs::metadata(self.layout().partial(&digest)).ok()?;
                Some(Resting {
                    digest,
                    bytes: file.blocks().saturating_mul(BLOCK),
                    written: file.mtime(),
                })
            })
            .collect();
        begun.sort_by_key(|one| one.written);
        begun
    }

    /// What an object that was begun takes of the disk.
    pub(super) fn taken_by(&self, digest: &Digest) -> u64 {
        let file = std::fs::metadata(self.layout().partial(digest));
        file.map_or(0, |file| file.blocks().saturating_mul(BLOCK))
    }

    /// Whether it is being written.
    pub(super) fn is_being_written(&self, digest: &Digest) -> bool {
        let open = self.open_partials();
        open.lock().contains(digest)
    }

    /// Whether it went: one that is being written stays. Nobody can begin to write it meanwhile.
    pub(super) fn remove_resting(&self, resting: &Resting) -> io::Result<bool> {
        let open = self.open_partials();
        let open = open.lock();
        if open.contains(&resting.digest) {
            return Ok(false);
        }
        partial::remove_files(self.layout(), &resting.digest)?;
        self.0.objects.no_longer_partial(&resting.digest);
        Ok(true)
    }
}
