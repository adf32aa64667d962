//! Lots on their way to a peer, and progress and settlements on the way back.

use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use crate::{
    EmbeddedBytes, ImageRules, KnownImageRules, Neighbourhood, ObjectKind, PublicObjects, Question,
    RemovalList, Signed, TagMeaning, TraceContext,
};

/// A peer's long poll for lots; the manager responds when there is something or the wait is over.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TakeRequest {
    /// The number of lots that the peer has room for.
    pub at_most: u32,
    /// Milliseconds that the manager may hold the call; the manager has its own limit.
    pub wait_ms: u64,
    /// The version of [`Neighbourhood`] that the peer has.
    pub neighbourhood_version: String,
    /// Every lot that the peer still works on.
    #[serde(default)]
    pub working_on: Vec<i64>,
    /// The image rules that the peer has; `None`: it does not support them.
    #[serde(default)]
    pub images: Option<KnownImageRules>,
    /// The number of the [`RemovalList`] that the peer has.
    #[serde(default)]
    pub removals: i64,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct TakeResponse {
    pub lots: Vec<Lot>,
    /// Only if it differs from the peer's.
    pub neighbourhood: Option<Neighbourhood>,
    #[serde(default)]
    pub questions: Vec<Question>,
    /// Lots in `working_on` that no longer belong to this session and must be stopped.
    #[serde(default)]
    pub withdrawn: Vec<i64>,
    /// Only if they differ from the peer's.
    #[serde(default)]
    pub images: Option<ImageRules>,
    /// Only if it is newer than the peer's.
    #[serde(default)]
    pub removals: Option<Signed<RemovalList>>,
}

/// The placements of one peer and stage in one preheat, claimed as one work item.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Lot {
    pub work: i64,
    /// Returned with every settlement; a settlement with an older fence has no effect.
    pub fence: i64,
    pub preheat: i64,
    /// For people and spans: `harbor.example.com/library/nginx:1.27`.
    pub image: String,
    pub trace: Option<TraceContext>,
    pub placements: Vec<LotPlacement>,
    /// The tag's meaning when the preheat resolved it; stored with the manifest.
    pub tag: Option<Signed<TagMeaning>>,
    /// Present if the placements' objects, in this order, are public at their location.
    pub public: Option<Signed<PublicObjects>>,
    /// The name of the registry's credential, which is fetched over the session and kept in memory only. Seeds only.
    pub credential: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LotPlacement {
    pub digest: String,
    pub size: u64,
    pub kind: ObjectKind,
    pub media_type: String,
    /// The location to fetch it from: `https://harbor.example.com/v2/library/nginx`.
    pub location: String,
    /// `share` URLs of peers that hold the object whole, best first.
    pub parents: Vec<String>,
    /// The object itself, if the registry does not have it under its digest or the manifest embeds it. Seeds only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<EmbeddedBytes>,
}

/// The progress of all placements in transfer; also the heartbeat.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ProgressReport {
    pub placements: Vec<PlacementProgress>,
    /// Every lot that the peer still works on.
    pub working_on: Vec<i64>,
    /// The number of the [`RemovalList`] that the peer has.
    #[serde(default)]
    pub removals: i64,
    /// What registries allow that refused this peer by count.
    #[serde(default)]
    pub widths: Vec<RegistryWidth>,
}

/// How many requests at once a registry allows a peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryWidth {
    /// As in image references: `harbor.example.com:8443`.
    pub registry: String,
    pub at_once: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacementProgress {
    pub preheat: i64,
    pub digest: String,
    pub bytes_done: u64,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ProgressResponse {
    pub lease_ms: u64,
    /// Lots in `working_on` that no longer belong to this session and must be stopped.
    pub withdrawn: Vec<i64>,
    /// The current version.
    pub neighbourhood_version: String,
    /// Only if it is newer than the peer's.
    #[serde(default)]
    pub removals: Option<Signed<RemovalList>>,
}

/// Settlements, repeated until acknowledged.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SettleRequest {
    pub settled: Vec<Settlement>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Settlement {
    pub work: i64,
    pub fence: i64,
    pub digest: String,
    pub outcome: PlacementOutcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum PlacementOutcome {
    /// Sealed: on disk under its digest, verified and fsynced.
    Verified {
        bytes_from_registry: u64,
        bytes_from_peers: u64,
    },
    Failed {
        /// What happened and what to do.
        reason: String,
        side: Side,
    },
}

/// Whose failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Side {
    /// The request: a wrong name, or a credential that is not accepted.
    Caller,
    Registry,
    Network,
    Peer,
    Manager,
}

impl Side {
    pub const ALL: [Self; 5] = [
        Self::Caller,
        Self::Registry,
        Self::Network,
        Self::Peer,
        Self::Manager,
    ];

    pub fn word(self) -> &'static str {
        self.into()
    }
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SettleResponse {
    /// Lots with an outdated fence; stop working on them.
    pub stale: Vec<i64>,
}
