//! Why an image cannot be explained.

use crate::model::errors::StorageError;

/// Why an image cannot be explained on this node.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    #[error("no peer has registered yet: start stoker-peer on the node first")]
    NoPeers,
    #[error("there is no peer {wanted}; the most similar names are: {}", near.join(", "))]
    UnknownNode { wanted: String, near: Vec<String> },
    #[error("several peers match {wanted}; write the id of one: {}", found.join(", "))]
    AmbiguousNode { wanted: String, found: Vec<String> },
    #[error(transparent)]
    Storage(#[from] StorageError),
}
