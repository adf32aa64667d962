//! The handles that every part of a program receives: tasks, metrics and log levels.

use crate::Running;
use crate::levels::Levels;
use crate::metrics::Metrics;

/// Clones share everything.
#[derive(Clone, Default)]
pub struct Vitals {
    pub running: Running,
    pub metrics: Metrics,
    pub levels: Levels,
    /// Whether the admin port serves CPU profiles.
    pub profiling: bool,
}

impl Vitals {
    /// Returns the same handles with separate metrics, for a second program in this process.
    #[must_use]
    pub fn counted_apart(&self) -> Self {
        Self {
            metrics: Metrics::new(),
            ..self.clone()
        }
    }
}
