//! Lists that registries keep beside objects: the tags of a repository, and the referrers of a manifest.

use std::fmt;
use std::str::FromStr;

/// A list of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestedList {
    Tags,
    Referrers(SubjectDigest),
}

impl RequestedList {
    /// Returns the route's template.
    pub fn template(&self) -> &'static str {
        match self {
            Self::Tags => "/v2/{repository}/tags/list",
            Self::Referrers(_) => "/v2/{repository}/referrers/{digest}",
        }
    }

    /// Returns the path behind the repository.
    pub fn path(&self) -> String {
        match self {
            Self::Tags => "tags/list".to_owned(),
            Self::Referrers(subject) => format!("referrers/{subject}"),
        }
    }
}

impl fmt::Display for RequestedList {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tags => out.write_str("list of tags"),
            Self::Referrers(subject) => write!(out, "list of referrers of {subject}"),
        }
    }
}

/// The digest of a list's subject, of any algorithm: only the registry looks it up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectDigest(String);

#[derive(Debug, thiserror::Error)]
#[error("the subject is not a digest: write algorithm:encoded, such as sha256:<64 hex digits>")]
pub struct BadSubject;

/// Longer than the longest registered digest (sha512).
const LONGEST: usize = 200;

impl FromStr for SubjectDigest {
    type Err = BadSubject;

    fn from_str(text: &str) -> Result<Self, BadSubject> {
        let (algorithm, encoded) = text.split_once(':').ok_or(BadSubject)?;
        let is_algorithm =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+._-".contains(&byte);
        let is_encoded = |byte: u8| byte.is_ascii_alphanumeric() || b"=_-".contains(&byte);
        let is_valid = text.len() <= LONGEST
            && !algorithm.is_empty()
            && !encoded.is_empty()
            && algorithm.bytes().all(is_algorithm)
            && encoded.bytes().all(is_encoded);
        // A sha256 or sha512 has one length.
        let is_complete = match algorithm {
            "sha256" => is_hex(encoded, 64),
            "sha512" => is_hex(encoded, 128),
            _ => true,
        };
        (is_valid && is_complete)
            .then(|| Self(text.to_owned()))
            .ok_or(BadSubject)
    }
}

fn is_hex(encoded: &str, length: usize) -> bool {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    encoded.len() == length && encoded.bytes().all(is_digit)
}

impl fmt::Display for SubjectDigest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_a_digest_of_any_algorithm() {
        let sha512 = format!("sha512:{}", "0a".repeat(64));
        let sha256 = format!("sha256:{}", "0a".repeat(32));
        for good in [sha256.as_str(), &sha512, "blake3:abc", "multihash+base58:Qm_x=-"] {
            assert!(good.parse::<SubjectDigest>().is_ok(), "{good}");
        }
        let upper = format!("sha256:{}", "0A".repeat(32));
        let long = format!("x:{}", "a".repeat(300));
        for bad in [
            "",
            "v1",
            ":a",
            "sha256:",
            "sha256:00",
            "a:../b",
            "a:b/c",
            "a:b?c",
            "A:b",
            &upper,
            &long,
        ] {
            assert!(bad.parse::<SubjectDigest>().is_err(), "{bad}");
        }
    }
}
