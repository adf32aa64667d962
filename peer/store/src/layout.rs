//! The paths of the store's files. Only a [`Digest`] becomes a file name.
//!
//! A sha256 object is named by its digits alone, because stores of older versions are; the name of any
//! other object begins with `sha512-`.

use std::borrow::Cow;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use oci::{Digest, DigestAlgorithm};

/// Below the store's folder: `sealed/ab/<name>` and `<name>.chunks`, `partial/<name>.part` and `<name>.chunks`,
/// `index.redb`, `catalog.json`. `ab` are the first two digits.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    root: PathBuf,
}

impl Layout {
    pub(crate) fn new(dir: &Path) -> Self {
        Self { root: dir.to_owned() }
    }

    /// Makes all folders at once, so that sealing an object syncs one folder and makes none.
    pub(crate) fn make(&self) -> io::Result<()> {
        std::fs::create_dir_all(self.partial_dir())?;
        for shelf in self.shelves() {
            std::fs::create_dir_all(shelf)?;
        }
        sync_folder(&self.sealed_dir())?;
        sync_folder(&self.root)
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn index(&self) -> PathBuf {
        self.root.join("index.redb")
    }

    pub(crate) fn catalog(&self) -> PathBuf {
        self.root.join("catalog.json")
    }

    pub(crate) fn partial_dir(&self) -> PathBuf {
        self.root.join("partial")
    }

    pub(crate) fn partial(&self, digest: &Digest) -> PathBuf {
        self.partial_dir().join(format!("{}.part", file_name(digest)))
    }

    pub(crate) fn partial_chunks(&self, digest: &Digest) -> PathBuf {
        self.partial_dir().join(format!("{}.chunks", file_name(digest)))
    }

    pub(crate) fn shelf(&self, digest: &Digest) -> PathBuf {
        let first_two: String = digest.hex().chars().take(2).collect();
        self.sealed_dir().join(first_two)
    }

    pub(crate) fn sealed(&self, digest: &Digest) -> PathBuf {
        self.shelf(digest).join(&*file_name(digest))
    }

    pub(crate) fn sealed_chunks(&self, digest: &Digest) -> PathBuf {
        self.shelf(digest).join(format!("{}.chunks", file_name(digest)))
    }

    /// The 256 folders of sealed objects.
    pub(crate) fn shelves(&self) -> impl Iterator<Item = PathBuf> {
        let sealed = self.sealed_dir();
        (0..=u8::MAX).map(move |first| sealed.join(format!("{first:02x}")))
    }

    fn sealed_dir(&self) -> PathBuf {
        self.root.join("sealed")
    }
}

fn file_name(digest: &Digest) -> Cow<'_, str> {
    match digest.algorithm() {
        DigestAlgorithm::Sha256 => digest.hex().into(),
        other @ DigestAlgorithm::Sha512 => format!("{}-{}", other.name(), digest.hex()).into(),
    }
}

/// Returns the digest of the object that has this file name.
pub(crate) fn digest_named(name: &str) -> Option<Digest> {
    let text = match name.split_once('-') {
        // A sha256 object has one name only.
        Some((algorithm, _)) if algorithm == DigestAlgorithm::Sha256.name() => return None,
        Some((algorithm, hex)) => format!("{algorithm}:{hex}"),
        None => format!("{}:{name}", DigestAlgorithm::Sha256.name()),
    };
    text.parse().ok()
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    std::fs::File::open(folder)?.sync_all()
}

/// Removes a file. A missing one is no error.
pub(crate) fn remove_if_there(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes the files of a partial object.
pub(crate) fn remove_partial(layout: &Layout, digest: &Digest) -> io::Result<()> {
    remove_if_there(&layout.partial(digest))?;
    remove_if_there(&layout.partial_chunks(digest))
}

/// Replaces a small file in one step. The caller syncs the folder.
pub(crate) fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let fresh = path.with_extension("chunks-new");
    let mut file = std::fs::File::create(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(fresh, path)
}
