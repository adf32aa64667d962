//! Which of the peers that a scope names have to hold an image.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// Narrows `all_seed_peers` and `all_peers`, cluster by cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PeerChoice {
    #[default]
    All,
    /// As many of each cluster; all, where it has fewer.
    Count(u32),
    /// Of each cluster's peers, rounded up; from 1 to 100.
    Percent(u8),
    /// Those that call in from these addresses.
    Addresses(Vec<IpAddr>),
}
