//! Bandwidth limits for the peers of a cluster, set at the manager.

use serde::{Deserialize, Serialize};

use crate::Rate;

/// Bandwidth limits; `None` is unlimited.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BandwidthLimits {
    /// Each peer's limit from registries and other peers.
    pub peer_incoming: Option<Rate>,
    /// Each peer's limit to other peers.
    pub peer_outgoing: Option<Rate>,
    /// Each peer's share of the cluster's limit from a registry.
    pub origins: Vec<RegistryShare>,
}

/// A cluster's limit from a registry, divided among its peers. It applies until it is replaced, also while the manager
/// is down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryShare {
    /// The registry's main name.
    pub registry: String,
    pub each_seed: Rate,
    /// For a node that reaches no seed.
    pub each_node: Rate,
}
