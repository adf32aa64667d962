//! What a start finds on the disk.
//!
//! **Invariant:** a file is believed only if its name is a digest and its size is the one that its sidecar
//! tells. Anything else in the store's folders is put right or removed; bytes are not read.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::path::Path;

use oci::Digest;
use tracing::warn;

use super::About;
use super::chunks::read_about;
use super::layout::{Layout, remove_if_there};

/// Every sealed object with its sidecar.
pub(super) fn sealed_objects(layout: &Layout) -> io::Result<HashMap<Digest, About>> {
    let mut objects = HashMap::new();
    for shelf in layout.shelves() {
        for entry in std::fs::read_dir(&shelf)? {
            let entry = entry?;
            match digest_named_by(&entry.file_name(), "") {
                Some(digest) => {
                    if let Some(about) = believed(layout, &digest, entry.metadata()?.len())? {
                        objects.insert(digest, about);
                    }
                }
                None => sweep_sidecar(layout, &entry.path())?,
            }
        }
    }
    Ok(objects)
}

fn believed(layout: &Layout, digest: &Digest, size: u64) -> io::Result<Option<About>> {
    let fault = match read_about(&layout.sealed_chunks(digest)) {
        Ok(about) if about.size == size => return Ok(Some(about)),
        Ok(about) => format!("it has {size} bytes and should have {}", about.size),
        Err(error) => format!("its chunk hashes cannot be read: {error}"),
    };
    warn!(stoker.digest = %digest, fault, "removing {digest} from the store; it will be fetched again");
    remove_if_there(&layout.sealed(digest))?;
    remove_if_there(&layout.sealed_chunks(digest))?;
    Ok(None)
}

/// A sidecar whose object never got its name, or was never finished itself.
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

/// Lists of chunk hashes whose bytes are gone, and bytes that no list vouches for.
pub(super) fn sweep_partials(layout: &Layout) -> io::Result<()> {
    for entry in std::fs::read_dir(layout.partial_dir())? {
        let name = entry?.file_name();
        let digest = digest_named_by(&name, ".part").or_else(|| digest_named_by(&name, ".chunks"));
        let Some(digest) = digest else { continue };
        let whole = layout.partial(&digest).try_exists()? && layout.partial_chunks(&digest).try_exists()?;
        if !whole {
            super::partial::remove_files(layout, &digest)?;
        }
    }
    Ok(())
}

fn digest_named_by(name: &OsStr, ending: &str) -> Option<Digest> {
    let hex = name.to_str()?.strip_suffix(ending)?;
    format!("sha256:{hex}").parse().ok()
}
