//! Decides which peer holds which object, and writes the plan.

pub(crate) mod choosing;
pub(crate) mod cluster_wishes;
pub(crate) mod decide;
pub(crate) mod live_clusters;
pub(crate) mod write;
