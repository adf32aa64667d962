//! Digests: `sha256:` and 64 lower-case hexadecimal digits.
//!
//! **Invariant:** a [`Digest`] always has that form, so it is safe in a path or a URL.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

use crate::serde_text::serde_as_text;
use crate::text::tame;

const PREFIX: &str = "sha256:";
const HEX_LENGTH: usize = 64;

/// A sha256 digest, stored as its text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(Box<str>);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is not a digest: write sha256: and 64 digits from 0-9a-f")]
pub struct BadDigest {
    given: String,
}

impl Digest {
    /// Hashes these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = DigestHasher::default();
        hasher.update(bytes);
        hasher.finish()
    }

    /// Wraps the result of a SHA-256 computation.
    pub fn from_sha256(hash: [u8; 32]) -> Self {
        Self(format!("{PREFIX}{}", hex::encode(hash)).into())
    }

    /// `sha256:…`
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the 64 digits without the prefix.
    pub fn hex(&self) -> &str {
        self.0.strip_prefix(PREFIX).unwrap_or(&self.0)
    }

    /// Returns the first twelve digits, for messages whose fields hold the whole digest.
    pub fn short(&self) -> &str {
        self.hex().get(..12).unwrap_or_default()
    }
}

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

impl FromStr for Digest {
    type Err = BadDigest;

    fn from_str(text: &str) -> Result<Self, BadDigest> {
        let is_hex = |hex: &str| {
            hex.len() == HEX_LENGTH && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        if text.strip_prefix(PREFIX).is_some_and(is_hex) {
            return Ok(Self(text.into()));
        }
        Err(BadDigest {
            given: tame(text, 100),
        })
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

serde_as_text!(Digest);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn the_digest_of_empty_input_is_the_known_one() {
        assert_eq!(Digest::of(b"").as_str(), EMPTY);
        assert_eq!(Digest::of(b"").hex().len(), 64);
    }

    #[test]
    fn the_digest_does_not_depend_on_the_chunks() {
        let mut hasher = DigestHasher::default();
        hasher.update(b"a la");
        let clone = hasher.clone();
        hasher.update(b"yer");
        assert_eq!(hasher.finish(), Digest::of(b"a layer"));
        assert_eq!(clone.finish(), Digest::of(b"a la"));
    }

    #[test]
    fn other_algorithms_capitals_and_wrong_lengths_are_refused() {
        let capitals = EMPTY.replace('e', "E");
        let long = format!("{EMPTY}0");
        for bad in [
            "",
            "sha256:",
            "sha512:00",
            "e3b0",
            capitals.as_str(),
            long.as_str(),
            &EMPTY[..70],
        ] {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
    }

    #[test]
    fn json_keeps_the_text() {
        let digest: Digest = EMPTY.parse().unwrap();
        let json = serde_json::to_string(&digest).unwrap();
        assert_eq!(json, format!("\"{EMPTY}\""));
        assert_eq!(serde_json::from_str::<Digest>(&json).unwrap(), digest);
        assert!(serde_json::from_str::<Digest>("\"sha256:../../etc\"").is_err());
    }

    proptest! {
        #[test]
        fn a_computed_digest_parses_to_itself(bytes: Vec<u8>) {
            let digest = Digest::of(&bytes);
            prop_assert_eq!(digest.as_str().parse::<Digest>().unwrap(), digest);
        }

        #[test]
        fn any_text_is_refused_or_harmless(text in "(sha256:)?[0-9a-fA-F/.%:]{0,70}") {
            if let Ok(digest) = text.parse::<Digest>() {
                prop_assert!(digest.hex().bytes().all(|byte| byte.is_ascii_hexdigit()));
                prop_assert_eq!(digest.as_str(), text);
            }
        }
    }
}
