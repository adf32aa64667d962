//! Digests: `sha256:` and 64, or `sha512:` and 128 lower-case hexadecimal digits.
//!
//! **Invariant:** a [`Digest`] always has one of these forms, so it is safe in a path or a URL, and its bytes can be
//! verified. Two digests of one content by different algorithms are different digests: none is ever replaced by the
//! other.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256, Sha512};

use crate::serde_text::serde_as_text;
use crate::text::tame;

/// Longer names of algorithms are not repeated in errors.
const LONGEST_ALGORITHM: usize = 32;

/// A sha256 or sha512 digest, stored as its text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(Box<str>);

/// An algorithm that can be verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DigestAlgorithm {
    Sha256,
    Sha512,
}

/// Why a text is not a [`Digest`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadDigest {
    #[error("{given:?} is not a digest: write sha256: and 64 digits from 0-9a-f, or sha512: and 128 of them")]
    Malformed { given: String },
    /// A digest by the OCI specification's grammar.
    #[error("the digest algorithm {algorithm} is not supported: use sha256 or sha512")]
    UnknownAlgorithm { algorithm: String },
}

impl Digest {
    /// Hashes these bytes with sha256, the algorithm of everything that is named here first.
    pub fn of(bytes: &[u8]) -> Self {
        DigestAlgorithm::Sha256.digest(bytes)
    }

    /// Wraps the result of a SHA-256 computation.
    pub fn from_sha256(hash: [u8; 32]) -> Self {
        DigestAlgorithm::Sha256.wrap(&hash)
    }

    pub fn algorithm(&self) -> DigestAlgorithm {
        let by_name = |algorithm: &DigestAlgorithm| self.0.starts_with(algorithm.name());
        let known = DigestAlgorithm::ALL.into_iter().find(by_name);
        known.unwrap_or(DigestAlgorithm::Sha256)
    }

    /// Begins to hash bytes that should have this digest.
    pub fn hasher(&self) -> DigestHasher {
        self.algorithm().hasher()
    }

    /// Returns the digest that these bytes have by the algorithm of this one.
    #[must_use]
    pub fn of_same_algorithm(&self, bytes: &[u8]) -> Self {
        self.algorithm().digest(bytes)
    }

    /// Whether it is the digest of an object without a byte.
    pub fn is_of_nothing(&self) -> bool {
        self.of_same_algorithm(b"") == *self
    }

    /// `sha256:…` or `sha512:…`
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the 64 or 128 digits without the algorithm.
    pub fn hex(&self) -> &str {
        self.0.split_once(':').map_or(&self.0, |(_, hex)| hex)
    }

    /// Returns the first twelve digits, for messages whose fields hold the whole digest.
    pub fn short(&self) -> &str {
        self.hex().get(..12).unwrap_or_default()
    }
}

impl DigestAlgorithm {
    pub const ALL: [Self; 2] = [Self::Sha256, Self::Sha512];

    /// The name in front of the colon.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    pub fn hasher(self) -> DigestHasher {
        match self {
            Self::Sha256 => DigestHasher::Sha256(Sha256::new()),
            Self::Sha512 => DigestHasher::Sha512(Sha512::new()),
        }
    }

    /// Hashes these bytes.
    pub fn digest(self, bytes: &[u8]) -> Digest {
        let mut hasher = self.hasher();
        hasher.update(bytes);
        hasher.finish()
    }

    fn hex_length(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }

    fn wrap(self, hash: &[u8]) -> Digest {
        Digest(format!("{}:{}", self.name(), hex::encode(hash)).into())
    }
}

/// Computes the digest of bytes that come one after the other. A clone continues from the same bytes.
#[derive(Debug, Clone)]
pub enum DigestHasher {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl DigestHasher {
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Sha512(hasher) => hasher.update(bytes),
        }
    }

    /// The digest of all bytes so far.
    pub fn finish(self) -> Digest {
        match self {
            Self::Sha256(hasher) => DigestAlgorithm::Sha256.wrap(&hasher.finalize()),
            Self::Sha512(hasher) => DigestAlgorithm::Sha512.wrap(&hasher.finalize()),
        }
    }
}

impl FromStr for Digest {
    type Err = BadDigest;

    fn from_str(text: &str) -> Result<Self, BadDigest> {
        let malformed = || BadDigest::Malformed {
            given: tame(text, 160),
        };
        let (name, hex) = text.split_once(':').ok_or_else(malformed)?;
        let by_name = |algorithm: &DigestAlgorithm| algorithm.name() == name;
        match DigestAlgorithm::ALL.into_iter().find(by_name) {
            Some(algorithm) if hex.len() == algorithm.hex_length() && is_hex(hex) => Ok(Self(text.into())),
            None if is_algorithm(name) && is_encoded(hex) => Err(BadDigest::UnknownAlgorithm {
                algorithm: name.to_owned(),
            }),
            _ => Err(malformed()),
        }
    }
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The grammar of the image specification: parts of small letters and digits, with one of `+._-` between them.
fn is_algorithm(name: &str) -> bool {
    let is_part = |part: &str| {
        let mut bytes = part.bytes();
        !part.is_empty() && bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    name.len() <= LONGEST_ALGORITHM && name.split(['+', '.', '_', '-']).all(is_part)
}

fn is_encoded(text: &str) -> bool {
    let mut bytes = text.bytes();
    !text.is_empty() && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'=' | b'_' | b'-'))
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
    const EMPTY_512: &str = "sha512:cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e";

    fn algorithms() -> impl Strategy<Value = DigestAlgorithm> {
        prop_oneof![Just(DigestAlgorithm::Sha256), Just(DigestAlgorithm::Sha512)]
    }

    #[test]
    fn the_digest_of_empty_input_is_the_known_one() {
        assert_eq!(Digest::of(b"").as_str(), EMPTY);
        assert_eq!(Digest::of(b"").hex().len(), 64);
        let by_512 = DigestAlgorithm::Sha512.digest(b"");
        assert_eq!((by_512.as_str(), by_512.hex().len()), (EMPTY_512, 128));
        assert!(Digest::of(b"").is_of_nothing() && by_512.is_of_nothing());
        assert!(!Digest::of(b"a").is_of_nothing());
        assert_eq!(
            (Digest::of(b"").short(), by_512.short()),
            ("e3b0c44298fc", "cf83e1357eef")
        );
    }

    #[test]
    fn capitals_and_wrong_lengths_are_refused() {
        let capitals = EMPTY.replace('e', "E");
        let (long, long_512) = (format!("{EMPTY}0"), format!("{EMPTY_512}0"));
        let (wrong, wrong_512) = (
            EMPTY.replace("sha256", "sha512"),
            EMPTY_512.replace("sha512", "sha256"),
        );
        for bad in [
            "",
            ":",
            "sha256",
            "sha256:",
            "sha512:",
            "sha512:00",
            "e3b0",
            capitals.as_str(),
            long.as_str(),
            long_512.as_str(),
            wrong.as_str(),
            wrong_512.as_str(),
            &EMPTY[..70],
            &EMPTY_512[..134],
            &format!("SHA256:{}", &EMPTY[7..]),
            "blake3:",
            "blake3:../..",
            "a b:00",
            "md5:00/11",
        ] {
            let read = bad.parse::<Digest>();
            assert!(matches!(read, Err(BadDigest::Malformed { .. })), "{bad}");
        }
    }

    #[test]
    fn an_algorithm_that_cannot_be_verified_is_named() {
        for (text, named) in [
            ("md5:d41d8cd98f00b204e9800998ecf8427e", "md5"),
            ("sha384:00", "sha384"),
            (
                "multihash+base58:QmRZxt2b1FVZPNqd8hsiykDL3TdBDeTSPX9Kv46HmX4Gx8",
                "multihash+base58",
            ),
        ] {
            let algorithm = named.to_owned();
            assert_eq!(
                text.parse::<Digest>(),
                Err(BadDigest::UnknownAlgorithm { algorithm })
            );
        }
        let unknown = "blake3:00".parse::<Digest>().unwrap_err();
        insta::assert_snapshot!(unknown, @"the digest algorithm blake3 is not supported: use sha256 or sha512");
        let malformed = "sha256:00".parse::<Digest>().unwrap_err();
        insta::assert_snapshot!(malformed, @r#""sha256:00" is not a digest: write sha256: and 64 digits from 0-9a-f, or sha512: and 128 of them"#);
    }

    #[test]
    fn json_keeps_the_text() {
        for text in [EMPTY, EMPTY_512] {
            let digest: Digest = text.parse().unwrap();
            let json = serde_json::to_string(&digest).unwrap();
            assert_eq!(json, format!("\"{text}\""));
            assert_eq!(serde_json::from_str::<Digest>(&json).unwrap(), digest);
        }
        assert!(serde_json::from_str::<Digest>("\"sha256:../../etc\"").is_err());
    }

    proptest! {
        #[test]
        fn the_digest_does_not_depend_on_the_chunks(
            algorithm in algorithms(),
            begin: Vec<u8>,
            end: Vec<u8>,
        ) {
            let mut hasher = algorithm.hasher();
            hasher.update(&begin);
            let clone = hasher.clone();
            hasher.update(&end);
            prop_assert_eq!(hasher.finish(), algorithm.digest(&[&begin[..], &end[..]].concat()));
            prop_assert_eq!(clone.finish(), algorithm.digest(&begin));
        }

        #[test]
        fn a_computed_digest_parses_to_itself(algorithm in algorithms(), bytes: Vec<u8>) {
            let digest = algorithm.digest(&bytes);
            prop_assert_eq!(digest.algorithm(), algorithm);
            prop_assert_eq!(&digest.of_same_algorithm(&bytes), &digest);
            prop_assert_eq!(digest.as_str().parse::<Digest>().unwrap(), digest);
        }

        #[test]
        fn any_text_is_refused_or_harmless(text in "((sha256|sha512):)?([0-9a-f]{64}|[0-9a-f]{128}|[0-9a-fA-F/.%:]{0,130})") {
            if let Ok(digest) = text.parse::<Digest>() {
                prop_assert!(digest.hex().bytes().all(|byte| byte.is_ascii_hexdigit()));
                prop_assert_eq!(digest.hex().len(), digest.algorithm().hex_length());
                prop_assert_eq!(digest.as_str(), text);
            }
        }
    }
}
