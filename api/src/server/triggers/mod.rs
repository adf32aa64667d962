//! What is done when a registry tells of a push: a rule of the configuration makes a preheat of it, or nothing does.
//!
//! **Invariant:** a push leads to nothing unless a rule says so (but for Harbor's provider "Kraken", which asks on its
//! own account); and the same message, told again, leads to no second preheat.

mod glob;
mod metrics;
mod rules;

pub use glob::{BadGlob, Glob};
pub(crate) use metrics::{Outcome, TriggerMetrics};
pub use rules::{Rule, Rules, Wish};
