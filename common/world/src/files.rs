//! Small helpers around folders and files of a test.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A folder that is removed on drop, or one that the test owns.
#[derive(Debug)]
pub(crate) enum Folder {
    Ours(TempDir),
    Given(PathBuf),
}

impl Folder {
    pub(crate) fn new(what: &str) -> Self {
        Self::Ours(temporary(what))
    }

    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Ours(dir) => dir.path(),
            Self::Given(path) => path,
        }
    }
}

pub(crate) fn temporary(what: &str) -> TempDir {
    tempfile::Builder::new()
        .prefix(&format!("world-{what}-"))
        .tempdir()
        .unwrap_or_else(|error| panic!("cannot create a folder for {what}: {error}"))
}

pub(crate) fn make_dir(path: &Path) {
    std::fs::create_dir_all(path).unwrap_or_else(|error| panic!("cannot create {}: {error}", path.display()));
}

pub(crate) fn write(path: &Path, content: impl AsRef<[u8]>) {
    std::fs::write(path, content).unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
}

/// Writes a file for its owner only, as our programs require for keys.
pub(crate) fn write_private(path: &Path, content: impl AsRef<[u8]>) {
    use std::os::unix::fs::PermissionsExt as _;
    write(path, content);
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
        .unwrap_or_else(|error| panic!("cannot set the mode of {}: {error}", path.display()));
}

pub(crate) fn read_text(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
    String::from_utf8_lossy(&bytes).into_owned()
}

pub(crate) fn appending(path: &Path) -> std::fs::File {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()))
}

/// Returns the last lines of a log, for the message of a failure.
pub(crate) fn tail(path: &Path, lines: usize) -> String {
    let Ok(bytes) = std::fs::read(path) else {
        return String::new();
    };
    let text = String::from_utf8_lossy(&bytes);
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
