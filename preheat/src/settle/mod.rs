//! Results of placements, and their effects on lots and preheats.

pub(crate) mod accept;
pub(crate) mod ledger;
pub(crate) mod spans;
