//! What a start would else have to read from each object's sidecar, in one file, and when each object was used last.
//!
//! **Invariant:** it is a hint. An entry is believed only while the object has the size and its sidecar the time of
//! writing that the entry tells; losing the file costs a slower start and the times of use, and no object.

use std::collections::HashMap;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use oci::Digest;
use serde::{Deserialize, Serialize};
use tracing::warn;

use super::chunks::About;
use super::layout::{Layout, write_durably};

/// Of one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CatalogEntry {
    digest: Digest,
    #[serde(flatten)]
    pub(super) about: About,
    /// Unix seconds.
    pub(super) used: i64,
    /// Nanoseconds since 1970: when its sidecar was written.
    described: i128,
}

/// By digest. A file that is not there or cannot be read is an empty one.
pub(super) fn read(layout: &Layout) -> HashMap<Digest, CatalogEntry> {
    let path = layout.catalog();
    let Ok(bytes) = std::fs::read(&path) else {
        return HashMap::new();
    };
    let entries: Vec<CatalogEntry> = serde_json::from_slice(&bytes).unwrap_or_else(|error| {
        warn!(file = %path.display(), stoker.side = "peer", %error, "the list of objects cannot be read and is made anew; objects are not touched");
        Vec::new()
    });
    let by_digest = entries.into_iter().map(|entry| (entry.digest.clone(), entry));
    by_digest.collect()
}

/// Looks at each sidecar. Blocks.
pub(super) fn write(layout: &Layout, objects: Vec<(Digest, About, i64)>) -> io::Result<()> {
    let entry = |(digest, about, used): (Digest, About, i64)| {
        // One that has gone meanwhile is left out.
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
    /// Whether it speaks of the object of this size, as its sidecar describes it now.
    pub(super) fn holds(&self, size: u64, sidecar: &Path) -> bool {
        self.about.size == size && described(sidecar) == Some(self.described)
    }
}

fn described(sidecar: &Path) -> Option<i128> {
    let file = std::fs::metadata(sidecar).ok()?;
    Some(i128::from(file.mtime()) * 1_000_000_000 + i128::from(file.mtime_nsec()))
}
