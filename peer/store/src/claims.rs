//! The right to write an object. It has one holder at a time.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use oci::Digest;
use parking_lot::Mutex;

pub(super) type WriteClaims = Arc<Mutex<HashSet<Digest>>>;

/// Held by the one writer of an object: two writers on one file would break each other's promise.
pub(super) struct WriteClaim {
    claims: WriteClaims,
    digest: Digest,
}

impl WriteClaim {
    pub(super) fn take(claims: WriteClaims, digest: &Digest) -> io::Result<Self> {
        let first = claims.lock().insert(digest.clone());
        if first {
            Ok(Self {
                claims,
                digest: digest.clone(),
            })
        } else {
            let text = format!("{digest} not opened for writing: another fetch writes it");
            Err(io::Error::new(io::ErrorKind::ResourceBusy, text))
        }
    }
}

impl Drop for WriteClaim {
    fn drop(&mut self) {
        self.claims.lock().remove(&self.digest);
    }
}
