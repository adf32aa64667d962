//! Why a manifest is refused.
//!
//! **Invariant:** no error repeats a value of the document: it may come from another host than the registry's.

use crate::text::tame;

/// The most bytes of one manifest. The distribution specification asks registries to take 4 MiB.
pub const BYTES_LIMIT: usize = 4 * 1024 * 1024;
/// The most layers of one image, and the most entries of one index.
pub const ENTRIES_LIMIT: usize = 1_000;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadManifest {
    #[error("it is {found} bytes long; {BYTES_LIMIT} are the most")]
    TooLarge { found: usize },
    #[error(
        "it is of schema 1, which registries stopped serving: push the image again with a current client"
    )]
    SchemaOne,
    #[error("its type {found:?} is no image manifest and no index")]
    UnknownType { found: String },
    #[error("it says to be {inside:?}, the registry says {outside:?}")]
    TwoTypes { inside: String, outside: String },
    #[error("it lists both layers and manifests, so it could be read as two different images")]
    TwoMeanings,
    #[error(
        "it has the key {key:?} twice, and readers differ in which one counts: build it with each key once"
    )]
    KeyTwice { key: String },
    #[error(
        "it has the key {found:?}, which many registries read as {known:?}: build it with {known:?} alone"
    )]
    FoldedKey { found: String, known: &'static str },
    #[error("it has a list where an object belongs: build it with a current tool")]
    ListForObject,
    #[error("it cannot be read: {cause}")]
    Unreadable { cause: String },
    #[error("it lists {found} objects; {ENTRIES_LIMIT} are the most")]
    TooMany { found: usize },
    #[error("object {number} of its list is wrong: {cause}")]
    BadEntry { number: usize, cause: String },
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
            format!("a value is of another type than a manifest's at line {line} column {column}")
        };
        Self::Unreadable { cause }
    }
}
