//! Peers: they join, register, report holdings, answer questions, and are removed.

pub(crate) mod address;
pub(crate) mod bandwidth;
pub(crate) mod clusters;
pub(crate) mod hello;
pub(crate) mod holdings;
pub(crate) mod joining;
pub(crate) mod neighbourhood;
pub(crate) mod parents;
pub(crate) mod questions;
pub(crate) mod removals;
pub(crate) mod seeds;
pub(crate) mod seen;
pub(crate) mod sessions;
