//! Why a manifest is refused.
//!
//! **Invariant:** no error repeats a value of the document: it may come from another host than the registry's.

use crate::text::tame;
use crate::{BadDigest, Digest};

/// The limit for one manifest. The distribution specification asks registries to accept 4 MiB.
pub const BYTES_LIMIT: usize = 4 * 1024 * 1024;
/// The most layers of one image, and the most entries of one index.
pub const ENTRIES_LIMIT: usize = 1_000;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadManifest {
    #[error("it has {found} bytes; the limit is {BYTES_LIMIT}")]
    TooLarge { found: usize },
    #[error("it has schema 1, which runtimes no longer pull")]
    SchemaOne,
    #[error("its type {found:?} is neither an image manifest nor an index")]
    UnknownType { found: String },
    #[error("its mediaType is {inside:?}, but the registry says {outside:?}")]
    TwoTypes { inside: String, outside: String },
    #[error("it lists both layers and manifests, so it could be read as two different images")]
    TwoMeanings,
    #[error(
        "it has the key {key:?} twice, and readers differ in which one they use: build it with each key once"
    )]
    KeyTwice { key: String },
    #[error(
        "it has the key {found:?}, which many registries read as {known:?}: build it with {known:?} alone"
    )]
    FoldedKey { found: String, known: &'static str },
    #[error("it has a list instead of an object: build it with a current tool")]
    ListForObject,
    #[error("it cannot be read: {cause}")]
    Unreadable { cause: String },
    #[error("it lists {found} objects; the limit is {ENTRIES_LIMIT}")]
    TooMany { found: usize },
}

/// Why an entry of a manifest or index names no object that can be fetched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryFault {
    #[error("its digest is of {algorithm}, which is not supported")]
    Algorithm { algorithm: String },
    #[error("its digest is invalid")]
    BadDigest,
    #[error("it has no digest")]
    NoDigest,
    #[error("it has no size")]
    NoSize,
    #[error("its size is not a whole number")]
    BadSize,
    #[error("its urls are not a list of texts")]
    BadUrls,
}

impl EntryFault {
    /// Describes a text that is no supported digest. Only the name of its algorithm is repeated.
    pub(crate) fn of_digest(text: &str) -> Self {
        if text.is_empty() {
            return Self::NoDigest;
        }
        match text.parse::<Digest>() {
            Err(BadDigest::UnknownAlgorithm { algorithm }) => Self::Algorithm { algorithm },
            _ => Self::BadDigest,
        }
    }
}

impl BadManifest {
    /// Describes what `serde_json` found.
    pub(crate) fn unreadable(cause: &serde_json::Error) -> Self {
        let text = cause.to_string();
        let (line, column) = (cause.line(), cause.column());
        // Of serde's texts about data, only "missing field" names nothing but our own words.
        let cause = if !cause.is_data() || text.starts_with("missing field") {
            tame(&text, 200)
        } else {
            format!("a value has the wrong type at line {line} column {column}")
        };
        Self::Unreadable { cause }
    }
}
