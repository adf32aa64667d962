//! Rules of the configuration that create preheats on push events of registries.
//!
//! **Invariant:** a push creates a preheat only if a rule matches, except for Harbor's provider "Kraken"; a repeated
//! message creates no second preheat.

mod glob;
mod hooks;
mod metrics;
mod rules;

pub use glob::{BadGlob, Glob};
pub(crate) use hooks::{HookHash, HookProof};
pub use hooks::{HookKind, HookSettings, Hooks, UnknownHook};
pub(crate) use metrics::{Outcome, TriggerMetrics};
pub use rules::{Rule, Rules, Wish};
