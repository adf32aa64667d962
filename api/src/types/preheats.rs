//! Preheats: requests of callers and responses of the manager.

use std::collections::BTreeMap;
use std::net::IpAddr;

use preheat::{ClusterChoice, PeerChoice, PreheatView};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::SecretText;

use super::known_fields::known_fields_if_any;
use super::timestamp::Timestamp;
use super::words::side_word;

/// A request for one preheat.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreatePreheat {
    /// Image reference, or the URL of its manifest. The prefix `http://` means plain HTTP.
    #[schema(example = "harbor.example.com/library/nginx:1.27")]
    pub image: String,
    /// `single_seed_peer` (the default), `all_seed_peers` or `all_peers`.
    #[schema(example = "single_seed_peer")]
    pub scope: Option<String>,
    /// Clusters, all by name or all by id. Default: every cluster that has a seed.
    pub clusters: Option<Vec<ClusterNameOrId>>,
    /// Platforms as `os/architecture[/variant]`. Default: all platforms of the image.
    #[schema(example = json!(["linux/amd64"]))]
    pub platforms: Option<Vec<String>>,
    /// Narrows the peers of the scope. Default: all of them.
    pub peers: Option<PeerSelection>,
    /// Also preheat the image's referrers, such as signatures and SBOMs. Default: as the cluster is configured.
    pub referrers: Option<bool>,
    /// `low`, `normal` (the default) or `high`: the order in the queue.
    #[schema(example = "normal")]
    pub priority: Option<String>,
    /// The preheat fails if it has not ended after this time, for example `10m`. Default: the manager's limit.
    #[schema(example = "10m")]
    pub time_limit: Option<String>,
    pub credential: Option<RegistryUser>,
    /// Free key-value pairs, at most 32, to filter by. A key has 1 to 63 of `a-z`, `A-Z`, `0-9`, `.`, `_`, `/` and
    /// `-`, with a letter or digit at both ends. A value has at most 255 bytes and no control characters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(example = json!({"team": "payments"}))]
    pub labels: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(untagged, expecting = "a cluster is its name or its id")]
#[schema(as = Cluster)]
pub enum ClusterNameOrId {
    Id(i64),
    Name(String),
}

/// A user of the registry. Stored encrypted, and deleted when the preheat ends.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegistryUser {
    pub username: String,
    #[schema(value_type = String, format = Password)]
    pub password: SecretText,
}

/// Options of a retry. The body may be left out.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RetryPreheat {
    /// New credential for the registry; the first one was deleted when the preheat ended. Default: the configured
    /// credential of the registry.
    pub credential: Option<RegistryUser>,
}

/// Selects peers of `all_seed_peers` or `all_peers` by exactly one of the three fields.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PeerSelection {
    /// Number of peers of each cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub count: Option<u32>,
    /// Share of each cluster's peers, rounded up.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 100)]
    pub percent: Option<u8>,
    /// Peers that register from these addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>, example = json!(["10.0.0.7"]))]
    pub addresses: Option<Vec<String>>,
}

/// A preheat: one image for the peers of one scope.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PreheatBody {
    pub id: i64,
    /// Full image reference.
    #[schema(example = "harbor.example.com/library/nginx:1.27")]
    pub image: String,
    #[schema(example = "https://harbor.example.com/v2/library/nginx/manifests/1.27")]
    pub url: String,
    #[schema(example = "harbor.example.com")]
    pub registry: String,
    #[schema(example = "library/nginx")]
    pub repository: String,
    /// The requested tag or digest.
    #[schema(example = "1.27")]
    pub reference: String,
    #[schema(example = "single_seed_peer")]
    pub scope: String,
    /// Names or ids, as requested. Empty means every cluster that has a seed.
    pub clusters: Vec<String>,
    /// Empty means all platforms of the image.
    pub platforms: Vec<String>,
    pub state: PreheatState,
    /// For a failed preheat: what happened and what to do.
    pub reason: Option<String>,
    /// For a failed preheat: whose failure it is.
    #[schema(example = "registry")]
    pub side: Option<String>,
    /// Digest of the reference when it was resolved.
    pub digest: Option<String>,
    /// Whether the registry gave its manifest to an anonymous caller.
    pub public: bool,
    pub objects_total: u64,
    /// Size of the image; each object counts once.
    pub image_bytes: u64,
    /// Bytes of all placements, and those that are done.
    pub bytes_total: u64,
    pub bytes_done: u64,
    pub placements: PlacementCounts,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub finished_at: Option<Timestamp>,
    /// Id of the trace of the request and of all work for it.
    pub trace_id: Option<String>,
    /// Link to the trace, if the configuration has the URL of Jaeger's UI.
    #[schema(example = "http://jaeger:16686/trace/0af7651916cd43dd8448eb211c80319c")]
    pub trace_url: Option<String>,
    /// Id of the token that created it.
    pub created_by: Option<String>,
    /// Requester: `harbor`, `api`, `kraken`, `notification` or `webhook`.
    #[schema(example = "harbor")]
    pub asked_by: String,
    /// Selection among the scope's peers; `null` means all.
    #[serde(default, deserialize_with = "known_fields_if_any")]
    pub peers: Option<PeerSelection>,
    #[schema(example = "normal")]
    pub priority: String,
    /// Whether referrers are preheated too; `null` means as the clusters are configured.
    pub referrers: Option<bool>,
    /// 1 for the first attempt, one more for each retry.
    pub attempt: u64,
    /// Id of the equal preheat that this one follows.
    pub follows: Option<i64>,
    /// Remarks, such as a layer that was left out, and why.
    pub notes: Vec<String>,
    /// Labels that the caller gave. A preheat that follows another one keeps its own.
    #[serde(default)]
    #[schema(required, example = json!({"team": "payments"}))]
    pub labels: BTreeMap<String, String>,
}

/// Numbers of placements by state.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = Counts)]
pub struct PlacementCounts {
    pub total: u64,
    pub open: u64,
    pub verified: u64,
    pub failed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PreheatState {
    /// Stored; nothing has begun.
    Waiting,
    /// The manager asks the registry for the image's objects.
    Resolving,
    /// Peers are fetching.
    Placing,
    /// Every peer of the scope has every object on disk and verified.
    Succeeded,
    Failed,
    /// A caller ended it.
    Cancelled,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Preheats {
    pub preheats: Vec<PreheatBody>,
    /// Value of `before` for the next page; `null` on the last page.
    pub next_before: Option<i64>,
}

impl PeerSelection {
    /// Returns the selection as requested; none for all peers.
    fn shown(choice: PeerChoice) -> Option<Self> {
        let mut shown = Self::default();
        match choice {
            PeerChoice::All => return None,
            PeerChoice::Count(count) => shown.count = Some(count),
            PeerChoice::Percent(percent) => shown.percent = Some(percent),
            PeerChoice::Addresses(addresses) => {
                shown.addresses = Some(addresses.iter().map(IpAddr::to_string).collect());
            }
        }
        Some(shown)
    }
}

impl From<preheat::PreheatState> for PreheatState {
    fn from(state: preheat::PreheatState) -> Self {
        use preheat::PreheatState as Domain;
        match state {
            Domain::Waiting => Self::Waiting,
            Domain::Resolving => Self::Resolving,
            Domain::Placing => Self::Placing,
            Domain::Succeeded => Self::Succeeded,
            Domain::Failed => Self::Failed,
            Domain::Cancelled => Self::Cancelled,
        }
    }
}

impl From<PreheatView> for PreheatBody {
    fn from(view: PreheatView) -> Self {
        Self {
            id: view.id,
            image: view.image,
            url: view.url,
            registry: view.registry,
            repository: view.repository,
            reference: view.reference,
            scope: view.scope.to_string(),
            clusters: words_of(view.clusters),
            platforms: view.platforms,
            state: view.state.into(),
            reason: view.reason,
            side: view.side.map(side_word),
            digest: view.digest,
            public: view.public,
            objects_total: view.objects_total,
            image_bytes: view.image_bytes,
            bytes_total: view.bytes_total,
            bytes_done: view.bytes_done,
            placements: PlacementCounts {
                total: view.placements_total,
                open: view.placements_open,
                verified: view.placements_verified,
                failed: view.placements_failed,
            },
            created_at: Timestamp::from_ms(view.created_ms),
            updated_at: Timestamp::from_ms(view.updated_ms),
            finished_at: view.finished_ms.map(Timestamp::from_ms),
            trace_id: view.trace_id,
            trace_url: view.trace_url,
            created_by: view.created_by,
            asked_by: view.asked_by,
            peers: PeerSelection::shown(view.peers),
            priority: view.priority.word().to_owned(),
            referrers: view.referrers,
            attempt: view.attempt,
            follows: view.follows,
            notes: view.notes,
            labels: view.labels.into_map(),
        }
    }
}

fn words_of(clusters: ClusterChoice) -> Vec<String> {
    match clusters {
        ClusterChoice::All => Vec::new(),
        ClusterChoice::Ids(ids) => ids.iter().map(i64::to_string).collect(),
        ClusterChoice::Names(names) => names,
    }
}

impl PreheatState {
    /// As it is written in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Resolving => "resolving",
            Self::Placing => "placing",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    pub fn has_ended(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

impl PreheatBody {
    /// A link to its trace, or its id.
    pub fn trace(&self) -> Option<&str> {
        self.trace_url.as_deref().or(self.trace_id.as_deref())
    }

    /// Why it failed and on whose side, for people.
    pub fn why(&self) -> String {
        let reason = self.reason.as_deref().unwrap_or("no reason was given");
        match &self.side {
            Some(side) => format!("{reason} [side: {side}]"),
            None => reason.to_owned(),
        }
    }
}
