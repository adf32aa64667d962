//! From a reference to objects to placements: the manager's own work.
//!
//! **Invariant:** a step's results, the next step's work and the end of its own work commit together. A registry is
//! asked outside of any transaction.

pub(crate) mod ask;
pub(crate) mod share;
pub(crate) mod work;
pub(crate) mod write;
