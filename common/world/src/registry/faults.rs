//! Faults of a real registry's disk: stored bytes that differ from what was pushed.

use std::path::PathBuf;

use super::Registry;

impl Registry {
    /// The blob is listed by its manifests, but gone: 404.
    pub fn lose(&self, digest: &str) {
        let path = self.stored(digest);
        std::fs::remove_file(&path).unwrap_or_else(|error| panic!("cannot remove blob {digest}: {error}"));
    }

    /// One byte in the middle is another; the length is the same.
    pub fn corrupt(&self, digest: &str) {
        self.change(digest, |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x55;
        });
    }

    /// The blob ends early, and the registry says so in its `Content-Length`.
    pub fn shorten(&self, digest: &str, length: usize) {
        self.change(digest, |bytes| bytes.truncate(length));
    }

    fn change(&self, digest: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let path = self.stored(digest);
        let mut bytes =
            std::fs::read(&path).unwrap_or_else(|error| panic!("cannot read blob {digest}: {error}"));
        change(&mut bytes);
        crate::files::write(&path, bytes);
    }

    fn stored(&self, digest: &str) -> PathBuf {
        let hex = digest.strip_prefix("sha256:").expect("a digest");
        self.data()
            .join("docker/registry/v2/blobs/sha256")
            .join(&hex[..2])
            .join(hex)
            .join("data")
    }
}
