//! Verifies a peer's sealed files with the real `sha256sum` and `sha512sum`, independent of the code under test.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::files;
use crate::program::{run, text};

const LIMIT: Duration = Duration::from_secs(300);

/// Returns the file of an object in the store of a peer with this data folder.
pub fn sealed_path(data_dir: &Path, digest: &str) -> PathBuf {
    let (algorithm, hex) = split(digest);
    let name = match algorithm {
        "sha256" => hex.to_owned(),
        _ => format!("{algorithm}-{hex}"),
    };
    data_dir.join("store/sealed").join(&hex[..2]).join(name)
}

fn split(digest: &str) -> (&str, &str) {
    digest
        .split_once(':')
        .unwrap_or_else(|| panic!("`{digest}` is not a digest"))
}

/// Fails unless the peer holds all of these objects, each with the right bytes.
pub async fn assert_seed_holds<D: AsRef<str>>(data_dir: &Path, digests: impl IntoIterator<Item = D>) {
    if let Err(wrong) = seed_holds(data_dir, digests).await {
        panic!("objects in {} are missing or wrong:\n{wrong}", data_dir.display());
    }
}

/// Checks that the peer holds all of these objects; the error is the output of `sha256sum` or `sha512sum`.
pub async fn seed_holds<D: AsRef<str>>(
    data_dir: &Path,
    digests: impl IntoIterator<Item = D>,
) -> Result<(), String> {
    let mut lists = BTreeMap::<String, String>::new();
    for digest in digests {
        let digest = digest.as_ref();
        let (algorithm, hex) = split(digest);
        let line = format!("{hex}  {}\n", sealed_path(data_dir, digest).display());
        lists.entry(algorithm.to_owned()).or_default().push_str(&line);
    }
    assert!(!lists.is_empty(), "no objects were given, so nothing was checked");
    for (algorithm, list) in lists {
        check(&algorithm, &list).await?;
    }
    Ok(())
}

async fn check(algorithm: &str, list: &str) -> Result<(), String> {
    let folder = files::temporary("sums");
    let sums = folder.path().join("sums");
    files::write(&sums, list);
    let mut command = Command::new(format!("{algorithm}sum"));
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
        .map(|name| match name.split_once('-') {
            Some((algorithm, hex)) => format!("{algorithm}:{hex}"),
            None => format!("sha256:{name}"),
        })
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
