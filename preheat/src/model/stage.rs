//! The stages of a plan.

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// From the registry.
    Registry = 0,
    /// From the seeds that have it.
    Peers = 1,
}

impl Stage {
    pub(crate) fn of(number: i32) -> Option<Self> {
        [Self::Registry, Self::Peers]
            .into_iter()
            .find(|stage| *stage as i32 == number)
    }
}
