//! The objects of a preheat, and where each is.

use preheat::{ObjectView, PlacementView};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::words::{kind_word, side_word};

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Objects {
    pub objects: Vec<ObjectBody>,
}

/// A manifest, an index, a config or a layer.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ObjectBody {
    pub digest: String,
    /// `manifest` (an index is one too) or `blob`.
    #[schema(example = "blob")]
    pub kind: String,
    pub media_type: String,
    pub size: u64,
    /// Platform, if it belongs to one.
    #[schema(example = "linux/amd64")]
    pub platform: Option<String>,
    pub placements: Vec<PlacementBody>,
}

/// One object that one peer must hold.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PlacementBody {
    pub peer_id: Uuid,
    pub peer_name: String,
    pub cluster_id: i64,
    pub peer_ip: String,
    pub state: PlacementState,
    pub bytes_done: u64,
    pub bytes_from_registry: u64,
    pub bytes_from_peers: u64,
    /// For a failed placement: what happened and what to do.
    pub reason: Option<String>,
    #[schema(example = "peer")]
    pub side: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PlacementState {
    /// The peer has not taken it yet, or waits for the seeds.
    Waiting,
    Fetching,
    Verified,
    Failed,
}

impl From<ObjectView> for ObjectBody {
    fn from(view: ObjectView) -> Self {
        Self {
            digest: view.digest,
            kind: kind_word(view.kind),
            media_type: view.media_type,
            size: view.size,
            platform: view.platform,
            placements: view.placements.into_iter().map(PlacementBody::from).collect(),
        }
    }
}

impl From<preheat::PlacementState> for PlacementState {
    fn from(state: preheat::PlacementState) -> Self {
        use preheat::PlacementState as Domain;
        match state {
            Domain::Waiting => Self::Waiting,
            Domain::Fetching => Self::Fetching,
            Domain::Verified => Self::Verified,
            Domain::Failed => Self::Failed,
        }
    }
}

impl From<PlacementView> for PlacementBody {
    fn from(view: PlacementView) -> Self {
        Self {
            peer_id: view.peer_id,
            peer_name: view.peer_name,
            cluster_id: view.cluster_id,
            peer_ip: view.peer_ip,
            state: view.state.into(),
            bytes_done: view.bytes_done,
            bytes_from_registry: view.bytes_from_registry,
            bytes_from_peers: view.bytes_from_peers,
            reason: view.reason,
            side: view.side.map(side_word),
        }
    }
}

impl PlacementState {
    /// As it is written in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Fetching => "fetching",
            Self::Verified => "verified",
            Self::Failed => "failed",
        }
    }
}
