//! A real file system of a few MiB, mounted for one test. Mounting needs root: without it such tests pass, but fail with
//! `CI=true`. A missing program is always a failure.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

pub struct SmallDisk {
    mounted: PathBuf,
    _dir: TempDir,
}

impl SmallDisk {
    /// In memory, with this size rounded to pages.
    pub fn tmpfs(mib: u64) -> Option<Self> {
        let size = format!("size={mib}m");
        Self::mount(|_, at| run("mount", &["-t", "tmpfs", "-o", &size, "tmpfs", at]))
    }

    /// In a file, with its own journal, inodes and blocks.
    pub fn ext4(mib: u64) -> Option<Self> {
        Self::mount(|dir, at| {
            let image = dir.join("disk");
            let file = std::fs::File::create(&image).expect("a file");
            file.set_len(mib * 1024 * 1024).expect("sized");
            let image = image.to_str().expect("text");
            run("mkfs.ext4", &["-q", "-m", "0", image]) && run("mount", &["-o", "loop", image, at])
        })
    }

    fn mount(how: impl Fn(&Path, &str) -> bool) -> Option<Self> {
        let dir = tempfile::tempdir().expect("a folder");
        let mounted = dir.path().join("mounted");
        std::fs::create_dir(&mounted).expect("a folder");
        let is_mounted = how(dir.path(), mounted.to_str().expect("text"));
        let is_needed = std::env::var_os("CI").is_some_and(|value| value == "true");
        assert!(
            is_mounted || !is_needed,
            "cannot mount a file system, which CI=true requires"
        );
        is_mounted.then_some(Self { mounted, _dir: dir })
    }

    pub fn path(&self) -> &Path {
        &self.mounted
    }

    /// Fills the disk with other data.
    pub fn fill(&self, name: &str, bytes: usize) {
        std::fs::write(self.mounted.join(name), vec![7; bytes]).expect("written");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a file that a failed test has open must not keep the mount.
        run("umount", &["-l", self.mounted.to_str().expect("text")]);
    }
}

fn run(program: &str, arguments: &[&str]) -> bool {
    let ended = Command::new(program).args(arguments).output();
    let ended =
        ended.unwrap_or_else(|error| panic!("cannot run {program}: {error}; install it: make test-packages"));
    ended.status.success()
}
