//! Clusters, and how fast their peers may be.

use std::collections::BTreeMap;

use preheat::ClusterView;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::known_fields::known_fields;

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Clusters {
    pub clusters: Vec<ClusterBody>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ClusterBody {
    /// Never used again. What Harbor's `cluster_ids` name.
    #[schema(example = 1)]
    pub id: i64,
    #[schema(example = "default")]
    pub name: String,
    /// Seeds that are there now.
    pub seeds: u64,
    /// Nodes that are there now.
    pub nodes: u64,
}

/// Bytes per second, as `100MiB/s`, `12MB/s` or `1Gbit/s`; at least `64KiB/s`. What is left out has no limit.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = Limits)]
pub struct BandwidthLimits {
    /// Of each peer, from registries and other peers.
    #[schema(example = "100MiB/s")]
    pub peer_incoming: Option<String>,
    /// Of each peer, to other peers.
    #[schema(example = "200MiB/s")]
    pub peer_outgoing: Option<String>,
    /// Of all peers of the cluster together, from this registry.
    #[schema(example = json!({"registry.example.com": "50MiB/s"}))]
    pub origins: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = LimitsOfCluster)]
pub struct ClusterLimitsBody {
    #[schema(example = "default")]
    pub cluster: String,
    #[serde(deserialize_with = "known_fields")]
    pub limits: BandwidthLimits,
    /// They are those of the configuration; nobody said something else since.
    pub as_configured: bool,
    /// What each of the seeds that are there now may take from a registry: equal shares of the cluster's budget.
    #[schema(example = json!({"registry.example.com": "25MiB/s"}))]
    pub each_seed: BTreeMap<String, String>,
    /// What each node may, that finds no seed.
    #[schema(example = json!({"registry.example.com": "3200KiB/s"}))]
    pub each_node: BTreeMap<String, String>,
}

impl From<ClusterView> for ClusterBody {
    fn from(view: ClusterView) -> Self {
        let ClusterView {
            id,
            name,
            seeds,
            nodes,
        } = view;
        Self {
            id,
            name,
            seeds,
            nodes,
        }
    }
}
