//! Two siblings that use each other by the names that their parent re-exports.

mod layers;
mod sums;

pub use layers::Layer;
pub use sums::Sum;
