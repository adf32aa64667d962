//! The configured settings of each cluster. A cluster without settings has the defaults.

use std::collections::BTreeMap;

use oci::{Platform, RegistryName};
use serde::{Deserialize, Serialize};
use wire::Rate;

/// None: no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClusterLimits {
    /// Of each peer, from registries and other peers.
    pub peer_incoming: Option<Rate>,
    /// Of each peer, to other peers.
    pub peer_outgoing: Option<Rate>,
    /// Of all peers together, from this registry.
    pub origins: BTreeMap<RegistryName, Rate>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClusterSettings {
    /// The platforms for a request that names none; empty: all platforms of the image.
    pub platforms: Vec<Platform>,
    /// Peers that may leave without failing a preheat that is for every seed or every peer.
    pub tolerated_absent: u32,
    /// Referrers of an image are preheated too, unless the request states otherwise.
    pub referrers: bool,
    /// Bandwidth limits of its peers; they can be changed at run time.
    pub limits: ClusterLimits,
}

/// By the cluster's name.
pub(crate) type SettingsByCluster = BTreeMap<String, ClusterSettings>;
