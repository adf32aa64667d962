//! Peers: list and remove.

pub(crate) mod list;
pub(crate) mod remove;
