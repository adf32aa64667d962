//! The right to write an object. It has one holder at a time.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use oci::Digest;
use parking_lot::Mutex;

pub(super) type WriteClaims = Arc<Mutex<HashSet<Digest>>>;

/// Two writers on one file would each break the other's promise.
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
            let text = format!("{digest} is being written already");
            Err(io::Error::new(io::ErrorKind::ResourceBusy, text))
        }
    }
}

impl Drop for WriteClaim {
    fn drop(&mut self) {
        self.claims.lock().remove(&self.digest);
    }
}
