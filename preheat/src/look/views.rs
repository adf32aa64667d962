//! The views that callers get, without rows.

use serde::Serialize;
use uuid::Uuid;
use wire::{ObjectKind, Role, Side};

use crate::model::labels::Labels;
use crate::model::peer_choice::PeerChoice;
use crate::model::request::Priority;
use crate::model::scope::{ClusterChoice, Scope};
use crate::model::state::{PlacementState, PreheatState};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreheatView {
    pub id: i64,
    /// For people: `harbor.example.com/library/nginx:1.27`.
    pub image: String,
    pub registry: String,
    pub repository: String,
    /// Tag or digest.
    pub reference: String,
    /// The manifest's URL, as Harbor writes it.
    pub url: String,
    pub scope: Scope,
    pub clusters: ClusterChoice,
    pub platforms: Vec<String>,
    pub state: PreheatState,
    pub reason: Option<String>,
    pub side: Option<Side>,
    /// The digest of the reference.
    pub digest: Option<String>,
    /// The image is public.
    pub public: bool,
    pub objects_total: u64,
    /// Bytes of the image, each object once.
    pub image_bytes: u64,
    /// Bytes over all placements, and how many of them are there.
    pub bytes_total: u64,
    pub bytes_done: u64,
    pub placements_total: u64,
    pub placements_open: u64,
    pub placements_verified: u64,
    pub placements_failed: u64,
    pub created_ms: i64,
    pub updated_ms: i64,
    pub finished_ms: Option<i64>,
    pub trace_id: Option<String>,
    /// Where to look at the trace, if the configuration says where Jaeger's pages are.
    pub trace_url: Option<String>,
    /// The id of the token that asked.
    pub created_by: Option<String>,
    /// The door that the request came in by.
    pub asked_by: String,
    pub peers: PeerChoice,
    pub priority: Priority,
    pub referrers: Option<bool>,
    /// 1 at first, one more with each retry.
    pub attempt: u64,
    /// The open preheat that does the work of this one too.
    pub follows: Option<i64>,
    /// Notes for readers, such as a layer that was left out, and why.
    pub notes: Vec<String>,
    /// Its own, also of one that follows.
    pub labels: Labels,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ObjectView {
    pub digest: String,
    pub kind: ObjectKind,
    pub media_type: String,
    pub size: u64,
    pub platform: Option<String>,
    pub placements: Vec<PlacementView>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlacementView {
    pub peer_id: Uuid,
    pub peer_name: String,
    pub cluster_id: i64,
    pub peer_ip: String,
    pub state: PlacementState,
    pub bytes_done: u64,
    pub bytes_from_registry: u64,
    pub bytes_from_peers: u64,
    pub reason: Option<String>,
    pub side: Option<Side>,
}

/// A preheat's placements as Harbor shows them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct HarborRows {
    /// Failures first.
    pub rows: Vec<HarborRow>,
    /// Placements beyond the limit.
    pub left_out: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HarborRow {
    pub url: String,
    pub hostname: String,
    pub ip: String,
    pub cluster_id: i64,
    pub ok: bool,
    pub description: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClusterView {
    pub id: i64,
    pub name: String,
    /// With a live session.
    pub seeds: u64,
    pub nodes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PeerView {
    pub id: Uuid,
    pub name: String,
    pub cluster: String,
    pub cluster_id: i64,
    pub role: Role,
    pub share_url: String,
    pub alive: bool,
    pub last_seen_ms: i64,
    pub software: String,
    /// Objects that it holds, and their bytes.
    pub holdings: u64,
    pub held_bytes: u64,
    /// The finding of a spot check within the last day.
    pub warning: Option<String>,
}
