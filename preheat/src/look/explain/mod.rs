//! The state of an image on a node, and why. Facts are read first, from rows, the registry and the node; the
//! explanation is a function of these values.
//!
//! **Invariant:** explaining changes nothing, neither here nor on the node nor at the registry, and ends within twice
//! `Limits::answer_wait` plus the time of the database. A registry that is neither configured nor named by a preheat
//! is not dialled.

mod case;
mod conclude;
mod error;
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

pub use self::error::ExplainError;
pub use self::views::{
    ExplainedNode, ExplainedObject, ExplainedPreheat, ExplainedPull, Explanation, Finding, FindingKind,
    ObjectStanding, ReferenceMeaning, RegistryStanding, Share,
};

use crate::engine::preheater::Preheater;

/// Why an image is on a node or not. `node` is a peer's name, its id, or the beginning of either.
pub async fn explain(
    preheater: &Preheater,
    image: &ImageReference,
    node: &str,
) -> Result<Explanation, ExplainError> {
    let facts = gather::gather(preheater, image, node).await?;
    Ok(conclude::conclude(&facts))
}
