//! What other peers talk to. It answers from the store alone and never asks further.
//!
//! **Invariant:** nothing is answered but to a peer of our cluster, by its certificate; only whole, proven objects are
//! given out.

mod caller;
pub(crate) mod crowd;
pub(crate) mod objects;
#[cfg(test)]
mod tests;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router, middleware};
use oci::Digest;
use process::metrics::Metrics;
use process::telemetry::edge;
use prometheus_client::metrics::counter::Counter;
use serde::{Deserialize, Serialize};
use wire::{ObjectKind, TagRecord};

pub(crate) use caller::only_peers;

use crate::fetch::{Fetches, Partly};
use crate::limits::Limits;
use crate::membership::Membership;
use crate::metrics::PeerMetrics;
use crate::store::Store;
use crowd::Crowds;

pub(crate) const MEDIA_TYPE_HEADER: &str = "stoker-media-type";
pub(crate) const KIND_HEADER: &str = "stoker-kind";
pub(crate) const SIZE_HEADER: &str = "stoker-size";

/// Asked so often that they begin no trace: the span of a source tells of all its pieces.
pub const UNTRACED: [&str; 2] = [
    "GET /share/v1/objects/{digest}/piece",
    "GET /share/v1/objects/{digest}/crowd",
];

/// Everything that `share` may use.
#[derive(Clone)]
pub struct ShareState {
    store: Store,
    sent: Counter,
    limits: Limits,
    /// What of objects on their way is shared too.
    fetches: Option<Fetches>,
    crowds: Crowds,
}

impl ShareState {
    pub fn new(store: Store, limits: Limits, metrics: &PeerMetrics) -> Self {
        Self {
            store,
            sent: metrics.sent_by("share"),
            limits,
            fetches: None,
            crowds: Crowds::default(),
        }
    }

    /// Shares also what has landed of objects that are on their way.
    #[must_use]
    pub fn sharing(self, fetches: Fetches) -> Self {
        let fetches = Some(fetches);
        Self { fetches, ..self }
    }

    fn out(&self) -> objects::Out {
        objects::Out {
            sent: self.sent.clone(),
            limits: self.limits.clone(),
        }
    }

    fn on_its_way(&self, digest: &Digest) -> Option<Partly> {
        self.fetches.as_ref()?.on_its_way(digest)
    }
}

pub fn router(state: ShareState, membership: Membership, metrics: &Metrics) -> Router {
    let all = Router::new()
        .route("/share/v1/objects/{digest}", get(objects::object))
        .route("/share/v1/objects/{digest}/chunks", get(objects::chunks))
        .route("/share/v1/objects/{digest}/piece", get(objects::object))
        .route("/share/v1/objects/{digest}/crowd", get(crowd::crowd))
        .route("/share/v1/tags", get(tag))
        .route("/share/v1/public", get(public))
        // Before every handler: whoever is no peer learns nothing, not even what is not here.
        .layer(middleware::from_fn_with_state(membership, only_peers));
    edge(all, "share", metrics).with_state(state)
}

#[derive(Deserialize)]
struct TagQuery {
    registry: String,
    repository: String,
    tag: String,
}

async fn tag(
    State(state): State<ShareState>,
    Query(query): Query<TagQuery>,
) -> Result<Json<TagRecord>, StatusCode> {
    state
        .store
        .tag(&query.registry, &query.repository, &query.tag)
        .map(Json)
        .ok_or(StatusCode::NOT_FOUND)
}

#[derive(Deserialize)]
struct PublicQuery {
    registry: String,
    repository: String,
    digest: String,
}

#[derive(Serialize)]
struct Public {
    public: bool,
}

async fn public(
    State(state): State<ShareState>,
    Query(query): Query<PublicQuery>,
) -> Result<Json<Public>, StatusCode> {
    let digest: Digest = query.digest.parse().map_err(|_| StatusCode::BAD_REQUEST)?;
    let public = state.store.is_public(&query.registry, &query.repository, &digest);
    Ok(Json(Public { public }))
}

/// How a kind is written in the header.
pub(crate) fn word_of(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::Manifest => "manifest",
        ObjectKind::Blob => "blob",
    }
}

pub(crate) fn kind_of(word: Option<&str>) -> ObjectKind {
    match word {
        Some("manifest") => ObjectKind::Manifest,
        _ => ObjectKind::Blob,
    }
}
