//! Signed records of the manager: Ed25519 over the JSON text.
//!
//! **Invariant:** a [`Signed`] returns its record only after its signature is verified, and a signature for one kind of
//! record is invalid for another.

use std::fmt;
use std::marker::PhantomData;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A record that the manager signs.
pub trait Record: Serialize + DeserializeOwned {
    /// The kind of record, part of the signed bytes. Must not change after a release.
    const KIND: &'static str;
}

/// A record with its signature, sent and stored unchanged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Signed<T> {
    /// The record's JSON text, whose exact bytes are signed.
    text: String,
    /// Base64.
    signature: String,
    #[serde(skip)]
    record: PhantomData<fn() -> T>,
}

/// A record that this key did not sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the record has no valid signature of the manager")]
pub struct NotSigned;

/// The manager's key for signing.
pub struct SigningKey(Ed25519KeyPair);

/// The key for verifying the manager's signatures; a peer receives it when it joins.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VerifyingKey([u8; 32]);

impl SigningKey {
    /// Returns `None` unless these bytes are an Ed25519 key in PKCS#8.
    pub fn from_pkcs8(document: &[u8]) -> Option<Self> {
        Ed25519KeyPair::from_pkcs8(document).ok().map(Self)
    }

    /// Returns a new key in PKCS#8; empty if the operating system has no randomness.
    pub fn generate_pkcs8() -> Vec<u8> {
        Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
            .map(|document| document.as_ref().to_vec())
            .unwrap_or_default()
    }

    pub fn verifying_key(&self) -> VerifyingKey {
        let mut key = [0; 32];
        key.copy_from_slice(self.0.public_key().as_ref());
        VerifyingKey(key)
    }

    /// Returns `None` for a record without a JSON form, such as a map whose keys are not text.
    pub fn sign<T: Record>(&self, record: &T) -> Option<Signed<T>> {
        let text = serde_json::to_string(record).ok()?;
        let signature = self.0.sign(&signed_bytes::<T>(&text));
        Some(Signed {
            signature: BASE64.encode(signature.as_ref()),
            text,
            record: PhantomData,
        })
    }
}

impl<T: Record> Signed<T> {
    /// Returns the record if this key signed it.
    pub fn verify(&self, key: &VerifyingKey) -> Result<T, NotSigned> {
        let signature = BASE64.decode(&self.signature).map_err(|_| NotSigned)?;
        UnparsedPublicKey::new(&ED25519, key.0)
            .verify(&signed_bytes::<T>(&self.text), &signature)
            .map_err(|_| NotSigned)?;
        serde_json::from_str(&self.text).map_err(|_| NotSigned)
    }
}

/// The kind comes first and ends with a zero byte, so that no kind is a prefix of another.
fn signed_bytes<T: Record>(text: &str) -> Vec<u8> {
    [b"stoker/", T::KIND.as_bytes(), b"\0", text.as_bytes()].concat()
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("SigningKey(…)")
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "VerifyingKey({})", String::from(*self))
    }
}

impl From<VerifyingKey> for String {
    fn from(key: VerifyingKey) -> Self {
        BASE64.encode(key.0)
    }
}

impl TryFrom<String> for VerifyingKey {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let bytes = BASE64.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
        bytes
            .map(Self)
            .ok_or("not an Ed25519 public key: expected 32 bytes in base64")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    struct One(u32);
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    struct Other(u32);

    impl Record for One {
        const KIND: &'static str = "one";
    }

    impl Record for Other {
        const KIND: &'static str = "other";
    }

    fn key() -> SigningKey {
        SigningKey::from_pkcs8(&SigningKey::generate_pkcs8()).expect("a key")
    }

    fn carried<T: Record, U: Record>(signed: &Signed<T>) -> Signed<U> {
        serde_json::from_str(&serde_json::to_string(signed).expect("text")).expect("the same shape")
    }

    #[test]
    fn a_signed_record_survives_serialization() {
        let key = key();
        let signed = key.sign(&One(7)).expect("signed");
        let carried: Signed<One> = carried(&signed);
        assert_eq!(carried.verify(&key.verifying_key()), Ok(One(7)));
    }

    #[test]
    fn a_changed_record_another_key_and_another_kind_are_refused() {
        let key = key();
        let signed = key.sign(&One(7)).expect("signed");
        let other_kind: Signed<Other> = carried(&signed);
        assert_eq!(other_kind.verify(&key.verifying_key()), Err(NotSigned));
        assert_eq!(signed.verify(&self::key().verifying_key()), Err(NotSigned));
        let mut changed = signed.clone();
        changed.text = "8".to_owned();
        assert_eq!(changed.verify(&key.verifying_key()), Err(NotSigned));
        for signature in ["", "x", "AAAA"] {
            let mut changed = signed.clone();
            changed.signature = signature.to_owned();
            assert_eq!(
                changed.verify(&key.verifying_key()),
                Err(NotSigned),
                "{signature}"
            );
        }
    }

    #[test]
    fn an_invalid_key_is_refused() {
        assert!(serde_json::from_str::<VerifyingKey>("\"AAAA\"").is_err());
        let key = key().verifying_key();
        let text = serde_json::to_string(&key).expect("text");
        assert_eq!(serde_json::from_str::<VerifyingKey>(&text).expect("a key"), key);
    }
}
