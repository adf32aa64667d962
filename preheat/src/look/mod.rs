//! Reads preheats, peers and clusters for people and programs. Changes nothing.

pub(crate) mod cluster_list;
pub(crate) mod explain;
pub(crate) mod get;
pub(crate) mod harbor_rows;
pub(crate) mod list;
pub(crate) mod moving;
pub(crate) mod peer_list;
pub(crate) mod views;
pub(crate) mod watch;
pub(crate) mod whereabouts;
