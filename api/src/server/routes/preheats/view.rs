//! A preheat, as the native API shows it. Never holds a secret: a credential is not part of a preheat's row.

use preheat::{ClusterChoice, PreheatState, PreheatView};
use serde::Serialize;
use utoipa::ToSchema;
use wire::Side;

use super::choice::Peers;
use crate::server::extract::Instant;

/// One image, on its way to where its scope says.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PreheatBody {
    id: i64,
    /// In full, as people write it.
    #[schema(example = "harbor.example.com/library/nginx:1.27")]
    image: String,
    #[schema(example = "https://harbor.example.com/v2/library/nginx/manifests/1.27")]
    url: String,
    #[schema(example = "harbor.example.com")]
    registry: String,
    #[schema(example = "library/nginx")]
    repository: String,
    /// The tag or digest that was asked for.
    #[schema(example = "1.27")]
    reference: String,
    #[schema(example = "single_seed_peer")]
    scope: String,
    /// Names or ids, as asked for; empty means every cluster that has a seed.
    clusters: Vec<String>,
    /// Empty means all that the image has.
    platforms: Vec<String>,
    state: State,
    /// Of a failed preheat: what happened and what to do.
    reason: Option<String>,
    /// Of a failed preheat: whose side it was on.
    #[schema(example = "registry")]
    side: Option<&'static str>,
    /// What the reference meant when it was resolved.
    digest: Option<String>,
    /// Anybody may pull it: the registry gave its manifest to an anonymous caller.
    public: bool,
    objects_total: u64,
    /// Bytes of the image, each object once.
    image_bytes: u64,
    /// Bytes over all placements, and how many of them are there.
    bytes_total: u64,
    bytes_done: u64,
    placements: Counts,
    #[schema(value_type = String, format = DateTime)]
    created_at: Instant,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Instant,
    #[schema(value_type = Option<String>, format = DateTime)]
    finished_at: Option<Instant>,
    /// By which Jaeger finds the trace of the request and of all that followed.
    trace_id: Option<String>,
    /// Where to look at the trace, if the configuration says where Jaeger's pages are.
    #[schema(example = "http://jaeger:16686/trace/0af7651916cd43dd8448eb211c80319c")]
    trace_url: Option<String>,
    /// The id of the token that asked for it.
    created_by: Option<String>,
    /// The door that it came in by: `harbor`, `api`, `kraken`, `notification` or `webhook`.
    #[schema(example = "harbor")]
    asked_by: String,
    /// Which of the scope's peers; `null` for all.
    peers: Option<Peers>,
    #[schema(example = "normal")]
    priority: &'static str,
    /// Whether what refers to the image comes along; `null`: as its clusters want it.
    referrers: Option<bool>,
    /// 1 at first, one more with each retry.
    attempt: u64,
    /// The preheat that does the work of this one too.
    follows: Option<i64>,
    /// What to know about it: a layer that was left out, and why.
    notes: Vec<String>,
}

/// Placements: one object that one peer has to hold.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Counts {
    total: u64,
    open: u64,
    verified: u64,
    failed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = PreheatState)]
pub(crate) enum State {
    /// Written down; nothing has begun.
    Waiting,
    /// The registry is being asked what the image is made of.
    Resolving,
    /// Peers are fetching.
    Placing,
    /// Every object is on disk and proven, where the scope says.
    Succeeded,
    Failed,
    /// Somebody ended it before its time.
    Cancelled,
}

impl From<PreheatState> for State {
    fn from(state: PreheatState) -> Self {
        match state {
            PreheatState::Waiting => Self::Waiting,
            PreheatState::Resolving => Self::Resolving,
            PreheatState::Placing => Self::Placing,
            PreheatState::Succeeded => Self::Succeeded,
            PreheatState::Failed => Self::Failed,
            PreheatState::Cancelled => Self::Cancelled,
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
            side: view.side.map(Side::word),
            digest: view.digest,
            public: view.public,
            objects_total: view.objects_total,
            image_bytes: view.image_bytes,
            bytes_total: view.bytes_total,
            bytes_done: view.bytes_done,
            placements: Counts {
                total: view.placements_total,
                open: view.placements_open,
                verified: view.placements_verified,
                failed: view.placements_failed,
            },
            created_at: Instant::from_ms(view.created_ms),
            updated_at: Instant::from_ms(view.updated_ms),
            finished_at: view.finished_ms.map(Instant::from_ms),
            trace_id: view.trace_id,
            trace_url: view.trace_url,
            created_by: view.created_by,
            asked_by: view.asked_by,
            peers: Peers::shown(view.peers),
            priority: view.priority.word(),
            referrers: view.referrers,
            attempt: view.attempt,
            follows: view.follows,
            notes: view.notes,
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

/// A clause for the end of a reason, so that the reader knows where to look.
pub(crate) fn side_advice(side: Side) -> &'static str {
    match side {
        Side::Caller => " [side: caller; look at the image's name and the credential that was sent]",
        Side::Registry => " [side: registry; look at the registry's own log]",
        Side::Network => " [side: network; look at the way between peer and registry]",
        Side::Peer => " [side: peer; look at that peer's disk and log]",
        Side::Manager => " [side: manager; look at the manager's log]",
    }
}
