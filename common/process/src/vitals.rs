//! What every part of a program is handed: its tasks, its metrics, the levels of its logs, and what may be done with it.

use crate::Running;
use crate::levels::Levels;
use crate::metrics::Metrics;

/// Clones share all of it.
#[derive(Clone, Default)]
pub struct Vitals {
    pub running: Running,
    pub metrics: Metrics,
    pub levels: Levels,
    /// CPU profiles may be taken over the admin port.
    pub profiling: bool,
}

impl Vitals {
    /// The same process, counted apart: for a second program of ours in it.
    #[must_use]
    pub fn counted_apart(&self) -> Self {
        Self {
            metrics: Metrics::new(),
            ..self.clone()
        }
    }
}
