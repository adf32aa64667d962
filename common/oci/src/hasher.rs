//! SHA-256: the one place where it is computed for digests.

use sha2::{Digest as _, Sha256};

use crate::digest::Digest;

/// Computes the sha256 of bytes that come one after the other. A clone continues from the same bytes.
#[derive(Debug, Clone, Default)]
pub struct DigestHasher(Sha256);

impl DigestHasher {
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all bytes so far.
    pub fn finish(self) -> Digest {
        Digest::from_sha256(self.finish_bytes())
    }

    /// The same as bare bytes.
    pub fn finish_bytes(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_does_not_depend_on_how_the_bytes_come() {
        let mut hasher = DigestHasher::default();
        hasher.update(b"a la");
        let clone = hasher.clone();
        hasher.update(b"yer");
        assert_eq!(hasher.finish(), Digest::of(b"a layer"));
        assert_eq!(clone.finish(), Digest::of(b"a la"));
    }
}
