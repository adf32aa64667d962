//! Files and folders that only their owner can read: keys, tokens and all other data.
//!
//! **Invariant:** only the program's user can read what is below its data folder: layers of private images, the index
//! and the database are confidential.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use tracing::{info, warn};

/// The permission bits of everyone but the owner.
const OTHERS: u32 = 0o077;
/// Set on shared folders such as `/tmp`, whose mode must not change.
const STICKY: u32 = 0o1000;

/// Makes new files and folders private to the process's user (umask 077). Call it first in a program that stores data.
pub fn keep_new_files_private() {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(OTHERS));
}

/// Creates a folder that only its owner can enter, or closes an existing one to others. Logs if that is not possible.
pub fn private_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mode = fs::metadata(folder)?.permissions().mode();
    if mode & STICKY != 0 {
        warn!(
            folder = %folder.display(),
            "data folder is shared by many users: choose another one"
        );
        return Ok(());
    }
    let mut tally = Tally::default();
    tally.close(folder, mode);
    tally.tell(folder);
    Ok(())
}

/// Removes the permissions of other users that an older version left on `path` and everything below it. Symbolic links
/// and keys are skipped: a key that others can read is refused when it is read. Failures are logged only.
pub fn close_to_others(path: &Path) {
    let mut tally = Tally::default();
    tally.walk(path);
    tally.tell(path);
}

/// Counts the changes and failures of one walk.
#[derive(Default)]
struct Tally {
    closed: usize,
    failed: usize,
    first_fault: Option<String>,
}

impl Tally {
    fn walk(&mut self, path: &Path) {
        let found = match fs::symlink_metadata(path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => return self.fault(path, &error),
        };
        let is_key = path.extension().is_some_and(|extension| extension == "key");
        if found.is_symlink() || is_key {
            return;
        }
        self.close(path, found.permissions().mode());
        if !found.is_dir() {
            return;
        }
        match fs::read_dir(path) {
            Ok(entries) => entries.flatten().for_each(|entry| self.walk(&entry.path())),
            Err(error) => self.fault(path, &error),
        }
    }

    fn close(&mut self, path: &Path, mode: u32) {
        if mode & OTHERS == 0 {
            return;
        }
        match fs::set_permissions(path, Permissions::from_mode(mode & 0o700)) {
            Ok(()) => self.closed += 1,
            Err(error) => self.fault(path, &error),
        }
    }

    fn fault(&mut self, path: &Path, error: &io::Error) {
        self.failed += 1;
        let text = || format!("{}: {error}", path.display());
        self.first_fault.get_or_insert_with(text);
    }

    fn tell(self, path: &Path) {
        let path = path.display();
        if self.closed > 0 {
            info!(%path, closed = self.closed, "files closed to other users");
        }
        if let Some(first) = self.first_fault {
            warn!(
                %path,
                failed = self.failed,
                first,
                "others can read the data: chown it, or chmod -R go= it"
            );
        }
    }
}

/// Reads `path`, or creates it (mode 0600, fsynced) with the bytes from `make`.
///
/// # Errors
/// File system errors, and a file that others can read: they may know the key in it.
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

/// Writes `bytes` to a temporary file and renames it, so that readers see all or nothing.
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
            "{} is readable by others (mode {:o}): chmod 600 it, or remove it to get a new one",
            path.display(),
            mode & 0o777
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_file_is_created_once_with_mode_600() {
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

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).expect("there").permissions().mode() & 0o777
    }

    #[test]
    fn files_that_an_older_version_left_open_are_closed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        fs::create_dir_all(path("store/sealed/ab")).expect("made");
        for name in [
            "store/sealed/ab/layer",
            "store/index",
            "elsewhere",
            "store/the.key",
        ] {
            fs::write(path(name), b"bytes").expect("written");
            fs::set_permissions(path(name), Permissions::from_mode(0o644)).expect("opened up");
        }
        for name in ["store/sealed/ab", "store/sealed", "store"] {
            fs::set_permissions(path(name), Permissions::from_mode(0o755)).expect("opened up");
        }
        std::os::unix::fs::symlink(path("elsewhere"), path("store/link")).expect("linked");
        close_to_others(&path("store"));
        for name in ["store", "store/sealed", "store/sealed/ab"] {
            assert_eq!(mode(&path(name)), 0o700, "{name}");
        }
        for name in ["store/sealed/ab/layer", "store/index"] {
            assert_eq!(mode(&path(name)), 0o600, "{name}");
        }
        for untouched in ["elsewhere", "store/the.key"] {
            assert_eq!(mode(&path(untouched)), 0o644, "{untouched}");
        }
        close_to_others(&path("not there"));
    }

    #[test]
    fn a_data_folder_becomes_private_but_a_shared_one_is_not_changed() {
        let folder = tempfile::tempdir().expect("a folder");
        let (made, open, shared) = (
            folder.path().join("a/b"),
            folder.path().join("open"),
            folder.path().join("shared"),
        );
        private_folder(&made).expect("made");
        assert_eq!((mode(&made), mode(&folder.path().join("a"))), (0o700, 0o700));
        for (path, bits) in [(&open, 0o755), (&shared, 0o1777)] {
            fs::create_dir(path).expect("made");
            fs::set_permissions(path, Permissions::from_mode(bits)).expect("opened up");
            private_folder(path).expect("taken");
        }
        assert_eq!((mode(&open), mode(&shared)), (0o700, 0o777));
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        fs::write(&path, b"known").expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("opened up");
        let error = private_file(&path, Vec::new).expect_err("refused");
        assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied, "{error}");
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    }
}
