//! Kinds of objects and tag records in messages.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectKind {
    /// A manifest or an index: fetched at `/manifests/`.
    Manifest,
    /// A layer or a config: fetched at `/blobs/`.
    Blob,
}

/// The meaning of a tag at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagRecord {
    /// `https://harbor.example.com/v2/library/nginx`
    pub location: String,
    pub tag: String,
    pub digest: String,
    pub media_type: String,
    pub seen_unix_ms: i64,
}
