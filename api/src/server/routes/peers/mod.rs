//! The peers that have called in.

pub(crate) mod list;
pub(crate) mod remove;
