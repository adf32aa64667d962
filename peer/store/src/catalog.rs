//! A list of all sealed objects in one file: what a start would otherwise read from each object's sidecar, and
//! when each object was last used.
//!
//! **Invariant:** it is a hint. An entry counts only while the object has the listed size and its sidecar has
//! the listed time of writing. Losing the file costs a slower start and the times of use, but no object.

use std::collections::HashMap;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use oci::Digest;
use serde::{Deserialize, Serialize};
use tracing::warn;

use super::chunks::About;
use super::layout::{Layout, write_durably};

/// The entry of one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CatalogEntry {
    digest: Digest,
    #[serde(flatten)]
    pub(super) about: About,
    /// Unix seconds.
    pub(super) used: i64,
    /// When its sidecar was written, in nanoseconds since 1970.
    described: i128,
}

/// Returns the entries by digest. A missing or unreadable file counts as empty.
pub(super) fn read(layout: &Layout) -> HashMap<Digest, CatalogEntry> {
    let path = layout.catalog();
    let Ok(bytes) = std::fs::read(&path) else {
        return HashMap::new();
    };
    let entries: Vec<CatalogEntry> = serde_json::from_slice(&bytes).unwrap_or_else(|error| {
        warn!(file = %path.display(), stoker.side = "peer", %error, "catalog unreadable, starting a new one; objects are kept");
        Vec::new()
    });
    let by_digest = entries.into_iter().map(|entry| (entry.digest.clone(), entry));
    by_digest.collect()
}

/// Writes the catalog. Looks at each sidecar. Blocks.
pub(super) fn write(layout: &Layout, objects: Vec<(Digest, About, i64)>) -> io::Result<()> {
    let entry = |(digest, about, used): (Digest, About, i64)| {
        // An object that was removed meanwhile is left out.
        let described = described(&layout.sealed_chunks(&digest))?;
        Some(CatalogEntry {
            digest,
            about,
            used,
            described,
        })
    };
    let entries: Vec<CatalogEntry> = objects.into_iter().filter_map(entry).collect();
    write_durably(&layout.catalog(), &serde_json::to_vec(&entries)?)
}

impl CatalogEntry {
    /// Whether the entry still describes the object of this size with this sidecar.
    pub(super) fn holds(&self, size: u64, sidecar: &Path) -> bool {
        self.about.size == size && described(sidecar) == Some(self.described)
    }
}

fn described(sidecar: &Path) -> Option<i128> {
    let file = std::fs::metadata(sidecar).ok()?;
    Some(i128::from(file.mtime()) * 1_000_000_000 + i128::from(file.mtime_nsec()))
}
