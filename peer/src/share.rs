//! Serves other peers, from the store alone: no request leads to another request.
//!
//! **Invariant:** only peers of our cluster are answered, by their certificates. Only proven bytes are served. Tag meanings
//! and public records are passed on with the manager's signature, or not at all.

mod answer;
mod crowd;
mod crowds;
mod objects;
mod only_peers;
mod refusal;
mod state;
#[cfg(test)]
mod tests;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use axum::{Json, Router, middleware};
use oci::Digest;
use process::metrics::Metrics;
use process::telemetry::edge;
use serde::Deserialize;
use wire::between_peers::{CHUNKS, CROWD, OBJECT, PIECE, PUBLIC, TAGS};
use wire::{PublicProof, Signed, TagMeaning};

pub(crate) use answer::{Outgoing, object_response, requested_range};
pub(crate) use only_peers::only_peers;
pub(crate) use refusal::ShareRefusal;
pub use state::ShareState;

use crate::membership::Membership;
use state::location;

/// Requests that are too frequent to be traced: the span of a source counts its pieces.
pub const UNTRACED: [&str; 2] = [
    "GET /share/v1/objects/{digest}/piece",
    "GET /share/v1/objects/{digest}/crowd",
];

pub fn router(state: ShareState, membership: Membership, metrics: &Metrics) -> Router {
    let all = Router::new()
        .route(OBJECT, get(objects::object))
        .route(CHUNKS, get(objects::chunks))
        .route(PIECE, get(objects::piece))
        .route(CROWD, get(crowd::crowd))
        .route(TAGS, get(tag))
        .route(PUBLIC, get(public))
        // Before every handler: a caller that is no peer does not even learn what is missing here.
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
