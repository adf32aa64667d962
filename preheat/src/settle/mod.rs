//! Results of placements, and what follows from them.

pub(crate) mod accept;
pub(crate) mod ledger;
pub(crate) mod spans;
