//! Names and paths of blobs in an OCI layout.

use std::path::{Path, PathBuf};

/// `sha256:…` of a finished hash.
pub(super) fn name_of(hash: &[u8]) -> String {
    format!("sha256:{}", hex::encode(hash))
}

pub(super) fn blob_path(dir: &Path, digest: &str) -> PathBuf {
    dir.join("blobs").join(digest.replace(':', "/"))
}
