//! Why a question cannot be answered.

use crate::model::errors::StorageError;

/// The question cannot be put.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    #[error("no peer has ever called in: start stoker-peer on the node first")]
    NoPeers,
    #[error("there is no peer {wanted}; the nearest are: {}", near.join(", "))]
    UnknownNode { wanted: String, near: Vec<String> },
    #[error("{wanted} may be any of these peers, write the id of one: {}", found.join(", "))]
    AmbiguousNode { wanted: String, found: Vec<String> },
    #[error(transparent)]
    Storage(#[from] StorageError),
}
