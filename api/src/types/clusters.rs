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
    /// Never reused. Harbor's `cluster_ids` name it.
    #[schema(example = 1)]
    pub id: i64,
    #[schema(example = "default")]
    pub name: String,
    /// Connected seeds.
    pub seeds: u64,
    /// Connected nodes.
    pub nodes: u64,
}

/// Bandwidth limits, such as `100MiB/s`, `12MB/s` or `1Gbit/s`; at least `64KiB/s`. A field that is left out means
/// no limit.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = Limits)]
pub struct BandwidthLimits {
    /// Limit of each peer for reading from registries and other peers.
    #[schema(example = "100MiB/s")]
    pub peer_incoming: Option<String>,
    /// Limit of each peer for sending to other peers.
    #[schema(example = "200MiB/s")]
    pub peer_outgoing: Option<String>,
    /// Limit of the whole cluster for reading from a registry, by registry.
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
    /// Whether these are the configured limits.
    pub as_configured: bool,
    /// What each connected seed may read from a registry: equal shares of the cluster's limit.
    #[schema(example = json!({"registry.example.com": "25MiB/s"}))]
    pub each_seed: BTreeMap<String, String>,
    /// What a node that reaches no seed may read from a registry.
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
