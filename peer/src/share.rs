//! What other peers talk to. It answers from the store alone and never asks further.
//!
//! **Invariant:** nothing is answered but to a peer of our cluster, by its certificate; only whole, proven objects are
//! given out; what a tag means and what anybody may read is passed on as the manager signed it, or not at all.

pub(crate) mod crowd;
pub(crate) mod objects;
mod only_peers;
#[cfg(test)]
mod tests;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use axum::{Json, Router, middleware};
use oci::{Digest, Location};
use process::metrics::Metrics;
use process::telemetry::edge;
use prometheus_client::metrics::counter::Counter;
use serde::Deserialize;
use wire::between_peers::{CHUNKS, CROWD, LOCATION_HEADER, OBJECT, PIECE, PUBLIC, TAGS};
use wire::{PublicProof, Signed, TagMeaning};

pub(crate) use only_peers::only_peers;

use crate::fetch::{Fetches, Partly};
use crate::limits::Limits;
use crate::membership::Membership;
use crate::metrics::PeerMetrics;
use crowd::Crowds;
use store::{Sealed, Store};

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

    fn on_its_way_from(&self, digest: &Digest, location: &Location) -> Option<Partly> {
        self.fetches.as_ref()?.on_its_way_from(digest, location)
    }
}

pub fn router(state: ShareState, membership: Membership, metrics: &Metrics) -> Router {
    let all = Router::new()
        .route(OBJECT, get(objects::object))
        .route(CHUNKS, get(objects::chunks))
        .route(PIECE, get(objects::piece))
        .route(CROWD, get(crowd::crowd))
        .route(TAGS, get(tag))
        .route(PUBLIC, get(public))
        // Before every handler: whoever is no peer learns nothing, not even what is not here.
        .layer(middleware::from_fn_with_state(membership, only_peers));
    edge(all, "share", metrics).with_state(state)
}

#[derive(Deserialize)]
struct TagQuery {
    tag: String,
}

async fn tag(
    State(state): State<ShareState>,
    Query(query): Query<TagQuery>,
    headers: HeaderMap,
) -> Result<Json<Signed<TagMeaning>>, StatusCode> {
    let location = location(&headers).ok_or(StatusCode::BAD_REQUEST)?;
    let record = state.store.signed_tag(&location.to_string(), &query.tag);
    record.map(Json).ok_or(StatusCode::NOT_FOUND)
}

#[derive(Deserialize)]
struct PublicQuery {
    digest: String,
}

async fn public(
    State(state): State<ShareState>,
    Query(query): Query<PublicQuery>,
    headers: HeaderMap,
) -> Result<Json<PublicProof>, StatusCode> {
    let digest: Digest = query.digest.parse().map_err(|_| StatusCode::BAD_REQUEST)?;
    let location = location(&headers).ok_or(StatusCode::BAD_REQUEST)?;
    let proof = state.store.public_proof(&digest, &location);
    proof.map(Json).ok_or(StatusCode::NOT_FOUND)
}

/// The object, if it is whole here and the location that the request names delivers it.
fn delivered(state: &ShareState, digest: &Digest, headers: &HeaderMap) -> Option<Sealed> {
    let location = location(headers)?;
    let sealed = state.store.sealed(digest)?;
    state.store.has_delivered(digest, &location).then_some(sealed)
}

/// The repository that the asking peer wants the object from.
fn location(headers: &HeaderMap) -> Option<Location> {
    headers.get(LOCATION_HEADER)?.to_str().ok()?.parse().ok()
}
