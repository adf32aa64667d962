//! Clusters: groups of peers that share. The first peer that registers creates one.

pub(crate) mod limits;
pub(crate) mod list;
