//! Clusters: groups of peers that share. One is made by its first peer's hello.

pub(crate) mod limits;
pub(crate) mod list;
