//! Files that only their owner may read: keys and tokens.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Reads `path`, or makes it (mode 0600, fsynced) from `make` when it is not there.
///
/// # Errors
/// Whatever the file system says, and a file that others can read: a key in it may be known to them.
pub fn private_file(path: &Path, make: impl FnOnce() -> Vec<u8>) -> io::Result<Vec<u8>> {
    match fs::read(path) {
        Ok(bytes) => refuse_if_shared(path).map(|()| bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let bytes = make();
            write_private(path, &bytes)?;
            Ok(bytes)
        }
        Err(error) => Err(error),
    }
}

/// Writes `bytes` under a temporary name and renames, so that a reader finds the whole or nothing.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => fs::File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

fn refuse_if_shared(path: &Path) -> io::Result<()> {
    let mode = fs::metadata(path)?.permissions().mode();
    let for_others = mode & 0o077;
    if for_others == 0 {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::PermissionDenied,
        format!(
            "{} can be read by others (mode {:o}): chmod 600 it, or remove it to have a new one made",
            path.display(),
            mode & 0o777
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_file_is_made_once_and_is_private() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        assert_eq!(private_file(&path, || b"first".to_vec()).expect("made"), b"first");
        assert_eq!(
            private_file(&path, || b"second".to_vec()).expect("read"),
            b"first"
        );
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        fs::write(&path, b"known").expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("opened up");
        let error = private_file(&path, Vec::new).expect_err("refused");
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }
}
