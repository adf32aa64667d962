//! Joining: a peer sends its join token and its public key, and the manager's CA signs a certificate for the key.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{RemovalList, SecretText, Signed, VerifyingKey};

const START: &str = "stoker-join";
const LONGEST_PART: usize = 64;
/// Of a join token's text.
const LONGEST_TOKEN: usize = 512;

/// The SHA-256 of the manager's CA certificate, which a peer trusts before it has joined.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CaFingerprint([u8; 32]);

/// A join token. Its text contains the fingerprint of the manager's CA, so that a peer can verify the manager without a
/// CA file. `Debug` shows only its id.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinToken {
    /// The id for listing and revoking.
    pub id: String,
    pub secret: SecretText,
    pub ca: CaFingerprint,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a join token, which begins with `stoker-join.`: make one with `stoker token create --scope node`"
)]
pub struct BadJoinToken;

impl CaFingerprint {
    /// Hashes a DER certificate.
    pub fn of(certificate: &[u8]) -> Self {
        Self(Sha256::digest(certificate).into())
    }
}

impl fmt::Display for CaFingerprint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for CaFingerprint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "CaFingerprint({self})")
    }
}

impl FromStr for CaFingerprint {
    type Err = BadJoinToken;

    fn from_str(text: &str) -> Result<Self, BadJoinToken> {
        let is_hex = |letter: u8| letter.is_ascii_digit() || (b'a'..=b'f').contains(&letter);
        if !text.bytes().all(is_hex) {
            return Err(BadJoinToken);
        }
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| BadJoinToken)?;
        Ok(Self(bytes))
    }
}

impl JoinToken {
    /// Returns the hex SHA-256 of the secret, which the manager stores.
    pub fn secret_hash(&self) -> String {
        CaFingerprint::of(self.secret.expose().as_bytes()).to_string()
    }

    /// Returns the text of the token.
    pub fn text(&self) -> SecretText {
        let Self { id, secret, ca } = self;
        SecretText::new(format!("{START}.{id}.{}.{ca}", secret.expose()))
    }
}

impl FromStr for JoinToken {
    type Err = BadJoinToken;

    fn from_str(text: &str) -> Result<Self, BadJoinToken> {
        let text = text.trim();
        let parts: Vec<&str> = text.split('.').collect();
        let [START, id, secret, ca] = parts[..] else {
            return Err(BadJoinToken);
        };
        let is_word = |part: &str| {
            let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
            (1..=LONGEST_PART).contains(&part.len()) && part.chars().all(plain)
        };
        if text.len() > LONGEST_TOKEN || !is_word(id) || !is_word(secret) {
            return Err(BadJoinToken);
        }
        Ok(Self {
            id: id.to_owned(),
            secret: SecretText::new(secret),
            ca: ca.parse()?,
        })
    }
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "JoinToken({})", self.id)
    }
}

/// A peer's public key: ECDSA P-256, as an uncompressed point (base64 in JSON). A TLS handshake with a certificate for it
/// proves possession of the private key.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey([u8; 65]);

impl PublicKey {
    /// `None` unless it is an uncompressed point: the byte 4 and two coordinates.
    pub fn from_point(bytes: &[u8]) -> Option<Self> {
        let point: [u8; 65] = bytes.try_into().ok()?;
        (point[0] == 4).then_some(Self(point))
    }

    pub fn point(&self) -> &[u8] {
        &self.0
    }

    /// Returns the hex SHA-256, by which the manager recognizes the key.
    pub fn hash(&self) -> String {
        CaFingerprint::of(&self.0).to_string()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "PublicKey({})", String::from(*self))
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        BASE64.encode(key.0)
    }
}

impl TryFrom<String> for PublicKey {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let bytes = BASE64.decode(text).ok();
        bytes
            .and_then(|bytes| Self::from_point(&bytes))
            .ok_or("not a public key: expected an uncompressed P-256 point, 65 bytes in base64")
    }
}

/// The request of a peer to join.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct JoinRequest {
    /// [`JoinToken::text`].
    pub token: SecretText,
    /// The key that the certificate is for.
    pub public_key: PublicKey,
    /// A label for people.
    pub name: String,
    /// The peer's clock, to detect a wrong one, which would reject certificates.
    pub clock_unix_ms: i64,
    pub wire_version: u32,
}

/// The response to a join or renewal, which the peer stores on disk. Uuid, cluster and role are in the certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    pub certificate_pem: String,
    pub ca_pem: String,
    /// Verifies what the manager signs.
    pub signing_key: VerifyingKey,
    pub removals: Signed<RemovalList>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> JoinToken {
        JoinToken {
            id: "0123456789abcdef".to_owned(),
            secret: SecretText::new("s3cret_-"),
            ca: CaFingerprint::of(b"certificate"),
        }
    }

    #[test]
    fn a_join_token_is_read_back_and_not_printed() {
        let text = token().text();
        assert_eq!(text.expose().parse(), Ok(token()));
        assert_eq!(format!("{}\n", text.expose()).parse(), Ok(token()));
        assert!(!format!("{:?}", token()).contains("s3cret"));
    }

    #[test]
    fn a_text_that_is_not_a_join_token_is_refused() {
        let good = token().text().expose().to_owned();
        for bad in [
            String::new(),
            "eyJhbGciOiJIUzI1NiJ9.e30.x".to_owned(),
            good.replace("stoker-join", "stoker"),
            good.replace("s3cret", ""),
            good.replace("s3cret_-", ""),
            format!("{good}0"),
            format!("{good}.x"),
            good[..good.len() - 1].to_owned(),
            good.to_uppercase(),
            format!("stoker-join.a.b.{}", "é".repeat(32)),
        ] {
            let is_another = bad.parse::<JoinToken>().map_or(true, |read| read != token());
            assert!(is_another, "{bad}");
        }
        assert_eq!("stoker-join.a.b.c".parse::<JoinToken>(), Err(BadJoinToken));
        assert_eq!(good.to_uppercase().parse::<JoinToken>(), Err(BadJoinToken));
    }
}
