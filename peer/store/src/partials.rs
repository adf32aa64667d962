//! Partial objects, seen from outside: the space that they take, and the removal of abandoned ones.

use std::io;
use std::os::unix::fs::MetadataExt as _;

use oci::Digest;

use super::blocking::off_thread;
use super::handle::Store;
use super::layout;

/// Bytes of a block as `stat` counts them.
const BLOCK: u64 = 512;

/// A partial object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct IdlePartial {
    pub(super) digest: Digest,
    /// The disk space that it takes.
    pub(super) bytes: u64,
    /// When it was last written, in Unix seconds.
    pub(super) written: i64,
}

impl Store {
    /// Bytes of a partial object that have landed, without gaps.
    pub async fn landed(&self, digest: &Digest) -> Option<u64> {
        if !self.0.objects.is_partial(digest) {
            return None;
        }
        let path = self.layout().partial(digest);
        let file = off_thread(move || std::fs::metadata(path)).await.ok()?;
        Some(file.len().min(file.blocks().saturating_mul(BLOCK)))
    }

    /// All partial objects, the one that was written longest ago first. Blocks.
    pub(super) fn partials(&self) -> Vec<IdlePartial> {
        let mut partials: Vec<IdlePartial> = self
            .0
            .objects
            .partial()
            .into_iter()
            .filter_map(|digest| {
                let file = std::fs::metadata(self.layout().partial(&digest)).ok()?;
                Some(IdlePartial {
                    digest,
                    bytes: file.blocks().saturating_mul(BLOCK),
                    written: file.mtime(),
                })
            })
            .collect();
        partials.sort_by_key(|one| one.written);
        partials
    }

    /// The disk space of a partial object.
    pub(super) fn disk_usage(&self, digest: &Digest) -> u64 {
        let file = std::fs::metadata(self.layout().partial(digest));
        file.map_or(0, |file| file.blocks().saturating_mul(BLOCK))
    }

    /// Whether a fetch writes the object now.
    pub(super) fn is_being_written(&self, digest: &Digest) -> bool {
        let claims = self.0.claims.clone();
        claims.lock().contains(digest)
    }

    /// Removes a partial object unless a fetch writes it. Returns whether it was removed.
    pub(super) fn remove_partial(&self, partial: &IdlePartial) -> io::Result<bool> {
        let claims = self.0.claims.clone();
        let claimed = claims.lock();
        if claimed.contains(&partial.digest) {
            return Ok(false);
        }
        layout::remove_partial(self.layout(), &partial.digest)?;
        self.0.objects.no_longer_partial(&partial.digest);
        Ok(true)
    }
}
