//! The peers that have called in.

pub(crate) mod list;
