//! How an image stands with a node, and why: facts are read first, from rows, the registry and the node itself; what
//! follows from them is a function from values to values.
//!
//! **Invariant:** explaining changes nothing, neither here nor on the node nor at the registry, and ends within twice
//! `Limits::answer_wait` and what the database takes. A registry that no configuration and no preheat has named is not
//! dialled.

mod conclude;
mod facts;
mod gather;
mod meaning;
mod node;
mod objects;
mod preheats;
mod pulled;
mod pulls;
mod sentences;
#[cfg(test)]
mod tests;
mod views;
mod words;

use oci::ImageReference;

use crate::fault::StorageError;
use crate::preheater::Preheater;

pub(crate) use self::facts::Object as ImageObject;
pub(crate) use self::meaning::{asked_within, location_of};
pub(crate) use self::preheats::{of_image, of_preheat as objects_of_preheat};
pub use self::views::{
    ExplainedNode, ExplainedObject, ExplainedPreheat, ExplainedPull, Explanation, Finding, ObjectStanding,
    ReferenceMeaning, RegistryStanding, Share, Verdict,
};

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

/// Why an image is on a node or not. `node` is a peer's name, its id, or the beginning of either.
pub async fn explain(
    preheater: &Preheater,
    image: &ImageReference,
    node: &str,
) -> Result<Explanation, ExplainError> {
    let facts = gather::gather(preheater, image, node).await?;
    Ok(conclude::conclude(&facts))
}
