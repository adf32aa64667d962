//! Reads what is on the disk when a store is opened.
//!
//! **Invariant:** a file counts only if its name is a digest and its size is the one in its sidecar, or in the
//! catalog entry of that same sidecar. Everything else in the store's folders is repaired or removed. The bytes
//! are not read.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use oci::Digest;
use tracing::warn;

use super::catalog::{self, CatalogEntry};
use super::chunks::{About, read_about};
use super::layout::{Layout, digest_named, remove_if_there, remove_partial};

/// Threads that read folders: a disk answers several at once, and the start waits for all of them.
const READERS: usize = 4;

/// What was found under the names of sealed objects.
#[derive(Default)]
pub(super) struct FoundObjects {
    /// With the time of the last use in Unix seconds.
    pub(super) whole: HashMap<Digest, (About, i64)>,
    /// Damaged objects. Their files were removed.
    pub(super) damaged: Vec<Digest>,
}

/// Finds all sealed objects. `now` is the last use of those whose last use is unknown.
pub(super) fn sealed_objects(layout: &Layout, now: i64) -> io::Result<FoundObjects> {
    let listed = catalog::read(layout);
    let shelves: Vec<PathBuf> = layout.shelves().collect();
    std::thread::scope(|scope| {
        let share = shelves.len().div_ceil(READERS);
        let readers: Vec<_> = shelves
            .chunks(share)
            .map(|shelves| scope.spawn(|| on_shelves(layout, &listed, shelves, now)))
            .collect();
        let mut found = FoundObjects::default();
        for reader in readers {
            let read = reader.join();
            let more =
                read.unwrap_or_else(|_| Err(io::Error::other("reading the store's folders panicked")))?;
            found.whole.extend(more.whole);
            found.damaged.extend(more.damaged);
        }
        Ok(found)
    })
}

fn on_shelves(
    layout: &Layout,
    listed: &HashMap<Digest, CatalogEntry>,
    shelves: &[PathBuf],
    now: i64,
) -> io::Result<FoundObjects> {
    let mut found = FoundObjects::default();
    for shelf in shelves {
        for entry in std::fs::read_dir(shelf)? {
            let entry = entry?;
            let Some(digest) = digest_named_by(&entry.file_name(), "") else {
                sweep_sidecar(layout, &entry.path())?;
                continue;
            };
            let listed = listed.get(&digest);
            let used = listed.map_or(now, |entry| entry.used);
            match checked(layout, &digest, entry.metadata()?.len(), listed)? {
                Some(about) => drop(found.whole.insert(digest, (about, used))),
                None => found.damaged.push(digest),
            }
        }
    }
    Ok(found)
}

fn checked(
    layout: &Layout,
    digest: &Digest,
    size: u64,
    listed: Option<&CatalogEntry>,
) -> io::Result<Option<About>> {
    let sidecar = layout.sealed_chunks(digest);
    if let Some(listed) = listed.filter(|entry| entry.holds(size, &sidecar)) {
        return Ok(Some(listed.about.clone()));
    }
    let fault = match read_about(&sidecar) {
        Ok(about) if about.size == size => return Ok(Some(about)),
        Ok(about) => format!("it has {size} bytes instead of {}", about.size),
        Err(error) => format!("its chunk hashes cannot be read: {error}"),
    };
    warn!(stoker.digest = %digest, stoker.side = "peer", fault, "damaged object removed; it will be fetched again");
    remove_if_there(&layout.sealed(digest))?;
    remove_if_there(&layout.sealed_chunks(digest))?;
    Ok(None)
}

/// Removes a sidecar without an object, or one that was not written to its end.
fn sweep_sidecar(layout: &Layout, path: &Path) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default();
    if digest_named_by(name, ".chunks-new").is_some() {
        return remove_if_there(path);
    }
    match digest_named_by(name, ".chunks") {
        Some(digest) if !layout.sealed(&digest).try_exists()? => remove_if_there(path),
        _ => Ok(()),
    }
}

/// Removes lists of chunk hashes without bytes, and bytes without such a list. Returns the partial objects that
/// remain.
pub(super) fn sweep_partials(layout: &Layout) -> io::Result<HashSet<Digest>> {
    let mut left = HashSet::new();
    for entry in std::fs::read_dir(layout.partial_dir())? {
        let name = entry?.file_name();
        let digest = digest_named_by(&name, ".part").or_else(|| digest_named_by(&name, ".chunks"));
        let Some(digest) = digest else { continue };
        let whole = layout.partial(&digest).try_exists()? && layout.partial_chunks(&digest).try_exists()?;
        if whole {
            left.insert(digest);
        } else {
            remove_partial(layout, &digest)?;
        }
    }
    Ok(left)
}

fn digest_named_by(name: &OsStr, ending: &str) -> Option<Digest> {
    digest_named(name.to_str()?.strip_suffix(ending)?)
}
