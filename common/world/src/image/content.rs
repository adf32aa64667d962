//! Incompressible bytes, deterministic by seed and generated at memory speed.

use aws_lc_rs::cipher::{AES_128, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use sha2::{Digest as _, Sha256};

/// A stream of bytes named by a seed and a label: AES in counter mode over zeros.
pub(super) struct Content {
    key: EncryptingKey,
    chunk: u64,
}

impl Content {
    pub(super) fn new(seed: u64, label: &str) -> Self {
        let hash = Sha256::new()
            .chain_update(seed.to_be_bytes())
            .chain_update(label)
            .finalize();
        let key = UnboundCipherKey::new(&AES_128, &hash[..16]).and_then(EncryptingKey::ctr);
        Self {
            key: key.expect("16 bytes are an AES key"),
            chunk: 0,
        }
    }

    /// Fills the buffer with the bytes that come next.
    pub(super) fn fill(&mut self, buffer: &mut [u8]) {
        buffer.fill(0);
        let mut counter = [0; 16];
        counter[..8].copy_from_slice(&self.chunk.to_be_bytes());
        self.chunk += 1;
        let context = EncryptionContext::Iv128(FixedLength::from(&counter));
        self.key
            .less_safe_encrypt(buffer, context)
            .expect("AES in counter mode takes any length");
    }
}
