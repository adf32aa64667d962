//! What the manager does by itself: workers, deadlines, absent peers, forgetting, counting.

pub(crate) mod absent;
pub(crate) mod counting;
pub(crate) mod deadlines;
pub(crate) mod forget;
pub(crate) mod workers;
