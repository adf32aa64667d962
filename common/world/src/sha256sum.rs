//! Verifies a peer's sealed files with the real `sha256sum`, independent of the code under test.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::files;
use crate::program::{run, text};

const LIMIT: Duration = Duration::from_secs(300);

/// Returns the file of an object in the store of a peer with this data folder.
pub fn sealed_path(data_dir: &Path, digest: &str) -> PathBuf {
    let hex = digest
        .strip_prefix("sha256:")
        .unwrap_or_else(|| panic!("`{digest}` is not a digest"));
    data_dir.join("store/sealed").join(&hex[..2]).join(hex)
}

/// Fails unless the peer holds all of these objects, each with the right bytes.
pub async fn assert_seed_holds<D: AsRef<str>>(data_dir: &Path, digests: impl IntoIterator<Item = D>) {
    if let Err(wrong) = seed_holds(data_dir, digests).await {
        panic!("objects in {} are missing or wrong:\n{wrong}", data_dir.display());
    }
}

/// Checks that the peer holds all of these objects; the error is the output of `sha256sum`.
pub async fn seed_holds<D: AsRef<str>>(
    data_dir: &Path,
    digests: impl IntoIterator<Item = D>,
) -> Result<(), String> {
    let line = |digest: D| {
        let path = sealed_path(data_dir, digest.as_ref());
        format!(
            "{}  {}\n",
            digest.as_ref().trim_start_matches("sha256:"),
            path.display()
        )
    };
    let list: Vec<String> = digests.into_iter().map(line).collect();
    assert!(!list.is_empty(), "no objects were given, so nothing was checked");
    let folder = files::temporary("sums");
    let sums = folder.path().join("sums");
    files::write(&sums, list.concat());
    let mut command = Command::new("sha256sum");
    command.args(["--check", "--strict", "--quiet"]).arg(&sums);
    let output = run(command, LIMIT).await;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!("{}\n{}", text(&output.stdout), text(&output.stderr)))
    }
}

/// Returns the objects of a peer, by the names of its files.
pub fn sealed_digests(data_dir: &Path) -> Vec<String> {
    let shelves = std::fs::read_dir(data_dir.join("store/sealed"))
        .into_iter()
        .flatten()
        .flatten();
    let names = shelves.flat_map(|shelf| std::fs::read_dir(shelf.path()).into_iter().flatten().flatten());
    let names = names.filter_map(|file| file.file_name().into_string().ok());
    let mut digests: Vec<String> = names
        .filter(|name| !name.contains('.'))
        .map(|hex| format!("sha256:{hex}"))
        .collect();
    digests.sort();
    digests
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn store_with_an_empty_object() -> tempfile::TempDir {
        let data = files::temporary("store");
        let path = sealed_path(data.path(), EMPTY);
        files::make_dir(path.parent().expect("a folder"));
        files::write(&path, "");
        data
    }

    #[tokio::test]
    async fn correct_bytes_pass() {
        let data = store_with_an_empty_object();
        assert_seed_holds(data.path(), [EMPTY]).await;
        assert_eq!(sealed_digests(data.path()), [EMPTY]);
    }

    #[tokio::test]
    async fn wrong_bytes_are_found() {
        let data = store_with_an_empty_object();
        files::write(&sealed_path(data.path(), EMPTY), "x");
        let wrong = seed_holds(data.path(), [EMPTY]).await.expect_err("wrong bytes");
        assert!(wrong.contains("FAILED"), "{wrong}");
    }

    #[tokio::test]
    async fn a_missing_object_is_found() {
        let data = files::temporary("store");
        assert!(seed_holds(data.path(), [EMPTY]).await.is_err());
    }
}
