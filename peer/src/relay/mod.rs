//! Relays an object that no peer holds: a seed starts or joins the one fetch from the registry, and the calling node reads
//! it as it grows.
//!
//! **Invariant:** only seeds serve it, and only to peers of their cluster. A relay asks only the registry, with the
//! credential of the request, which is kept in memory for this fetch alone.

mod fetching;
mod state;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Router, middleware};
use http::{HeaderValue, StatusCode};
use oci::{Digest, Secret};
use process::metrics::Metrics;
use process::telemetry::edge;
use std::time::Duration;
use tokio::time::timeout;
use tracing::Span;
use wire::ObjectKind;
use wire::between_peers::{
    AUTHORIZATION_HEADER, CHUNK_HASHES_HEADER, DELIVERY, EXTENT_HEADER, KIND_HEADER, LOCATION_HEADER, PARTS,
    RELAY, SIZE_HEADER,
};

use crate::fetch::{Extent, ReadableObject};
use crate::membership::Membership;
use crate::share::{Outgoing, ShareRefusal, object_response, only_peers, requested_range};
use fetching::RelayRequest;
pub use state::RelayState;

/// How long a part waits for the hashes of its chunks.
const HASHES_LIMIT: Duration = Duration::from_secs(30);

pub fn router(state: RelayState, membership: Membership, metrics: &Metrics) -> Router {
    let all = Router::new()
        .route(RELAY, get(object))
        .route(DELIVERY, get(delivery))
        .layer(middleware::from_fn_with_state(membership, only_peers));
    edge(all, "relay", metrics).with_state(state)
}

async fn object(
    State(state): State<RelayState>,
    Path(digest): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let request = match read(&digest, &headers) {
        Ok(request) => request,
        Err(fault) => return (StatusCode::BAD_REQUEST, fault).into_response(),
    };
    Span::current().record("stoker.digest", request.digest.as_str());
    let (digest, extent) = (request.digest.clone(), request.extent);
    match state.relayed(request).await {
        Ok(object) => {
            let hashes = match extent {
                Extent::Whole => None,
                Extent::Parts | Extent::PartsFirst => hashes_of(&object, &headers).await,
            };
            let about = state.store.about(&digest);
            let outgoing = Outgoing {
                sent: state.sent,
                limits: state.limits,
            };
            let answered = object_response(&object, about, &method, &headers, &outgoing).await;
            let mut response = answered.unwrap_or_else(ShareRefusal::into_response);
            if let Some(hashes) = hashes {
                response.headers_mut().insert(CHUNK_HASHES_HEADER, hashes);
            }
            response
        }
        Err(refusal) => refusal.into_response(),
    }
}

/// Returns 204 once the location is known to deliver the object that this seed holds.
async fn delivery(
    State(state): State<RelayState>,
    Path(digest): Path<String>,
    headers: HeaderMap,
) -> Response {
    let request = match read(&digest, &headers) {
        Ok(request) => request,
        Err(fault) => return (StatusCode::BAD_REQUEST, fault).into_response(),
    };
    match state.compared(request).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

/// Returns the chunk hashes of the requested part, so that the caller can verify it.
async fn hashes_of(object: &ReadableObject, headers: &HeaderMap) -> Option<HeaderValue> {
    let ReadableObject::Fetching(following, size) = object else {
        return None;
    };
    let part = requested_range(headers, *size).ok()??;
    let hashes = timeout(HASHES_LIMIT, following.chunk_hashes(part))
        .await
        .ok()?
        .ok()?;
    let text: Vec<String> = hashes.iter().map(hex::encode).collect();
    HeaderValue::from_str(&text.join(","))
        .ok()
        .filter(|_| !hashes.is_empty())
}

fn read(digest: &str, headers: &HeaderMap) -> Result<RelayRequest, String> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let needed = |name: &str| text(name).ok_or_else(|| format!("header {name} is missing"));
    let fault = |name: &str, error: &dyn std::fmt::Display| format!("{name}: {error}");
    Ok(RelayRequest {
        digest: digest
            .parse::<Digest>()
            .map_err(|error| fault("digest", &error))?,
        kind: ObjectKind::of_word(text(KIND_HEADER)),
        location: needed(LOCATION_HEADER)?
            .parse()
            .map_err(|error| fault(LOCATION_HEADER, &error))?,
        authorization: text(AUTHORIZATION_HEADER).map(Secret::new),
        size_hint: text(SIZE_HEADER).and_then(|size| size.parse().ok()),
        extent: if text(EXTENT_HEADER) == Some(PARTS) {
            Extent::Parts
        } else {
            Extent::Whole
        },
    })
}
