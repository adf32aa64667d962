//! How fast the peers of a cluster may be, by the manager's word.

use serde::{Deserialize, Serialize};

use crate::Rate;

/// None: as fast as it goes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BandwidthLimits {
    /// Of each peer, from registries and other peers.
    pub peer_incoming: Option<Rate>,
    /// Of each peer, to other peers.
    pub peer_outgoing: Option<Rate>,
    /// What the whole cluster may take from a registry, divided.
    pub origins: Vec<RegistryShare>,
}

/// A budget of a cluster, divided among those who fetch from the registry. It holds until another one is told, also
/// while the manager is away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryShare {
    /// The registry's one name.
    pub registry: String,
    pub each_seed: Rate,
    /// For the node that finds no seed.
    pub each_node: Rate,
}
