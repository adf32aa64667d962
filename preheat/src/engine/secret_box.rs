//! Encrypts secrets before they enter the database: AES-256-GCM, a new nonce for each, bound to its name.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};

/// Holds the key that encrypts and decrypts. Never printed.
pub(crate) struct SecretBox {
    key: RandomizedNonceKey,
}

#[derive(Debug, thiserror::Error)]
#[error("a credential cannot be encrypted or decrypted; check whether the manager's key file was replaced")]
pub(crate) struct SealBroken;

impl SecretBox {
    pub(crate) fn new(key: &[u8; 32]) -> Result<Self, SealBroken> {
        RandomizedNonceKey::new(&AES_256_GCM, key)
            .map(|key| Self { key })
            .map_err(|_| SealBroken)
    }

    /// Returns the nonce, then the ciphertext. It can only be opened under the same `name`.
    pub(crate) fn seal(&self, name: &str, secret: &str) -> Result<Vec<u8>, SealBroken> {
        let mut bytes = secret.as_bytes().to_vec();
        let nonce = self
            .key
            .seal_in_place_append_tag(Aad::from(name.as_bytes()), &mut bytes)
            .map_err(|_| SealBroken)?;
        let mut sealed = nonce.as_ref().to_vec();
        sealed.append(&mut bytes);
        Ok(sealed)
    }

    pub(crate) fn open(&self, name: &str, sealed: &[u8]) -> Result<String, SealBroken> {
        let (nonce, bytes) = sealed.split_at_checked(NONCE_LEN).ok_or(SealBroken)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealBroken)?;
        let mut bytes = bytes.to_vec();
        let opened = self
            .key
            .open_in_place(nonce, Aad::from(name.as_bytes()), &mut bytes)
            .map_err(|_| SealBroken)?;
        String::from_utf8(opened.to_vec()).map_err(|_| SealBroken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_key_and_name_open_it() {
        let sealing = SecretBox::new(&[7; 32]).unwrap();
        let sealed = sealing.seal("a", "Bearer s3cret").unwrap();
        assert_eq!(sealing.open("a", &sealed).unwrap(), "Bearer s3cret");
        assert!(sealing.open("b", &sealed).is_err());
        assert!(SecretBox::new(&[8; 32]).unwrap().open("a", &sealed).is_err());
        assert!(sealing.open("a", &sealed[..5]).is_err());
    }

    #[test]
    fn a_sealed_secret_is_not_readable_and_no_two_are_equal() {
        let sealing = SecretBox::new(&[7; 32]).unwrap();
        let sealed = sealing.seal("a", "s3cret-s3cret").unwrap();
        assert!(!sealed.windows(6).any(|window| window == b"s3cret"));
        assert_ne!(sealed, sealing.seal("a", "s3cret-s3cret").unwrap());
    }
}
