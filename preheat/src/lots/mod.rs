//! Lots and placements as rows: opened, failed and counted.

pub(crate) mod counts;
pub(crate) mod stage;
