//! Work on its way to a peer, and its outcome on the way back.

use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use crate::{
    ImageRules, KnownImageRules, Neighbourhood, ObjectKind, PublicObjects, Question, RemovalList, Signed,
    TagMeaning, TraceContext,
};

/// A peer asks for work in its lane; the manager answers when there is some or the wait is over.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TakeRequest {
    /// Lots that the peer has room for.
    pub at_most: u32,
    /// Milliseconds that the manager may hold the call; it caps this.
    pub wait_ms: u64,
    /// The version of [`Neighbourhood`] that the peer has.
    pub neighbourhood_version: String,
    /// Every lot that the peer still works on.
    #[serde(default)]
    pub working_on: Vec<i64>,
    /// What the peer knows of pinned, blocked and recalled images; none: it knows nothing of such.
    #[serde(default)]
    pub images: Option<KnownImageRules>,
    /// The number of the [`RemovalList`] that the peer has.
    #[serde(default)]
    pub removals: i64,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct TakeResponse {
    pub lots: Vec<Lot>,
    /// Only when it is not the one that the peer named.
    pub neighbourhood: Option<Neighbourhood>,
    #[serde(default)]
    pub questions: Vec<Question>,
    /// Of `working_on`: lots that are no longer this session's, to be stopped.
    #[serde(default)]
    pub withdrawn: Vec<i64>,
    /// Only when they are not those that the peer named.
    #[serde(default)]
    pub images: Option<ImageRules>,
    /// Only when it is newer than the one that the peer named.
    #[serde(default)]
    pub removals: Option<Signed<RemovalList>>,
}

/// All that one peer has to hold for one preheat, claimed as one piece of work.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Lot {
    pub work: i64,
    /// Goes back with every settle; a settle with an older one changes nothing.
    pub fence: i64,
    pub preheat: i64,
    /// For people and spans: `harbor.example.com/library/nginx:1.27`.
    pub image: String,
    pub trace: Option<TraceContext>,
    pub placements: Vec<LotPlacement>,
    /// What the tag meant when the preheat resolved it; stored with the manifest.
    pub tag: Option<Signed<TagMeaning>>,
    /// Anybody may read the placements' objects, in this order, at their location.
    pub public: Option<Signed<PublicObjects>>,
    /// Names the credential for the registry; fetched over the session, kept in memory only. Seeds only.
    pub credential: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LotPlacement {
    pub digest: String,
    pub size: u64,
    pub kind: ObjectKind,
    pub media_type: String,
    /// Where it is fetched from: `https://harbor.example.com/v2/library/nginx`.
    pub location: String,
    /// `share` URLs of peers that have the object whole, best first.
    pub parents: Vec<String>,
}

/// The bytes of every placement that moves, in one call. Also the heartbeat.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ProgressReport {
    pub placements: Vec<PlacementProgress>,
    /// Every lot that the peer still works on.
    pub working_on: Vec<i64>,
    /// The number of the [`RemovalList`] that the peer has.
    #[serde(default)]
    pub removals: i64,
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
    /// Of `working_on`: lots that are no longer this session's, to be stopped.
    pub withdrawn: Vec<i64>,
    /// Only when it is not the one that the peer last got.
    pub neighbourhood_version: String,
    /// Only when it is newer than the one that the peer named.
    #[serde(default)]
    pub removals: Option<Signed<RemovalList>>,
}

/// Outcomes, repeated until acknowledged.
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
    /// On disk, sha256 proven, fsynced, under its name.
    Verified {
        bytes_from_registry: u64,
        bytes_from_peers: u64,
    },
    Failed {
        /// For people: what happened and what to do.
        reason: String,
        side: Side,
    },
}

/// Whose side a failure lies on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Side {
    /// The request: a wrong name, a credential that does not do.
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
    /// Lots whose fence was older than the manager's: stop working on them.
    pub stale: Vec<i64>,
}
