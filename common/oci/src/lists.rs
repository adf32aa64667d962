//! Lists that registries keep beside objects: the tags of a repository, and the referrers of a manifest.

use std::fmt;
use std::str::FromStr;

use crate::{BadDigest, Digest};

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
        let is_digest = match text.parse::<Digest>() {
            Ok(_) | Err(BadDigest::UnknownAlgorithm { .. }) => text.len() <= LONGEST,
            Err(BadDigest::Malformed { .. }) => false,
        };
        is_digest.then(|| Self(text.to_owned())).ok_or(BadSubject)
    }
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
