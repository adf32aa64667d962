//! What a node asks of a seed when no peer holds an object: the seed starts or joins the one fetch from the registry,
//! and the node reads along.
//!
//! **Invariant:** only seeds open this door, and only to peers of the same cluster. A relay asks the registry and
//! nobody else, with the credential that came with the request; that credential is kept in memory for this fetch only.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Router, middleware};
use http::{HeaderValue, StatusCode};
use oci::{Digest, Secret};
use process::metrics::Metrics;
use process::telemetry::edge;
use prometheus_client::metrics::counter::Counter;
use std::time::Duration;
use tokio::time::timeout;
use tracing::Span;

use crate::fetch::Extent;
use crate::front::{FrontState, Object, Relayed};
use crate::limits::Limits;
use crate::membership::Membership;
use crate::metrics::PeerMetrics;
use crate::share::{KIND_HEADER, SIZE_HEADER, kind_of, objects, only_peers};
use crate::store::{Store, hex};

pub(crate) const REGISTRY_HEADER: &str = "stoker-registry";
pub(crate) const BASE_PATH_HEADER: &str = "stoker-base-path";
pub(crate) const PLAIN_HTTP_HEADER: &str = "stoker-plain-http";
pub(crate) const REPOSITORY_HEADER: &str = "stoker-repository";
/// [`PARTS`] unless all of the object is to be fetched.
pub(crate) const EXTENT_HEADER: &str = "stoker-extent";
pub(crate) const PARTS: &str = "parts";
/// BLAKE3 of each chunk of a part, with commas between them.
pub(crate) const CHUNK_HASHES_HEADER: &str = "stoker-chunk-hashes";
/// Until the chunks of a part are here.
const HASHES_LIMIT: Duration = Duration::from_secs(30);
/// The caller's credential for the registry: a secret.
pub(crate) const AUTHORIZATION_HEADER: &str = "stoker-registry-authorization";

/// Everything that `relay` may use.
#[derive(Clone)]
pub struct RelayState {
    front: FrontState,
    store: Store,
    sent: Counter,
    limits: Limits,
}

impl RelayState {
    pub fn new(front: FrontState, store: Store, limits: Limits, metrics: &PeerMetrics) -> Self {
        Self {
            front,
            store,
            sent: metrics.sent_by("relay"),
            limits,
        }
    }
}

pub fn router(state: RelayState, membership: Membership, metrics: &Metrics) -> Router {
    let all = Router::new()
        .route("/relay/v1/objects/{digest}", get(object))
        .layer(middleware::from_fn_with_state(membership, only_peers));
    edge(all, "relay", metrics).with_state(state)
}

async fn object(
    State(state): State<RelayState>,
    Path(digest): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let asked = match read(&digest, &headers) {
        Ok(asked) => asked,
        Err(fault) => return (StatusCode::BAD_REQUEST, fault).into_response(),
    };
    Span::current().record("stoker.digest", asked.digest.as_str());
    let (digest, extent) = (asked.digest.clone(), asked.extent);
    match state.front.relayed(asked).await {
        Ok(object) => {
            let hashes = match extent {
                Extent::Whole => None,
                Extent::Parts | Extent::PartsFirst => hashes_of(&object, &headers).await,
            };
            let about = state.store.about(&digest);
            let out = objects::Out {
                sent: state.sent,
                limits: state.limits,
            };
            let answered = objects::answer(&object, about, &method, &headers, &out).await;
            let mut response = answered.unwrap_or_else(objects::Refusal::into_response);
            if let Some(hashes) = hashes {
                response.headers_mut().insert(CHUNK_HASHES_HEADER, hashes);
            }
            response
        }
        Err(refusal) => refusal.into_response(),
    }
}

/// Of the part that is asked for, so that whoever gets it can check what comes.
async fn hashes_of(object: &Object, headers: &HeaderMap) -> Option<HeaderValue> {
    let Object::Coming(following, size) = object else {
        return None;
    };
    let part = objects::asked_range(headers, *size).ok()??;
    let hashes = timeout(HASHES_LIMIT, following.chunk_hashes(part))
        .await
        .ok()?
        .ok()?;
    let text: Vec<String> = hashes.iter().map(|hash| hex(hash)).collect();
    HeaderValue::from_str(&text.join(","))
        .ok()
        .filter(|_| !hashes.is_empty())
}

fn read(digest: &str, headers: &HeaderMap) -> Result<Relayed, String> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let needed = |name: &str| text(name).ok_or_else(|| format!("the header {name} is missing"));
    let fault = |name: &str, error: &dyn std::fmt::Display| format!("{name}: {error}");
    Ok(Relayed {
        digest: digest
            .parse::<Digest>()
            .map_err(|error| fault("digest", &error))?,
        kind: kind_of(text(KIND_HEADER)),
        registry: needed(REGISTRY_HEADER)?
            .parse()
            .map_err(|error| fault(REGISTRY_HEADER, &error))?,
        base_path: base_path(text(BASE_PATH_HEADER).unwrap_or_default())?,
        plain_http: text(PLAIN_HTTP_HEADER) == Some("true"),
        repository: needed(REPOSITORY_HEADER)?
            .parse()
            .map_err(|error| fault(REPOSITORY_HEADER, &error))?,
        authorization: text(AUTHORIZATION_HEADER).map(Secret::new),
        size_hint: text(SIZE_HEADER).and_then(|size| size.parse().ok()),
        extent: if text(EXTENT_HEADER) == Some(PARTS) {
            Extent::Parts
        } else {
            Extent::Whole
        },
    })
}

/// Goes into a URL as it is: no query, no climbing.
fn base_path(path: &str) -> Result<String, String> {
    let is_segment = |part: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        !part.is_empty() && part != "." && part != ".." && part.bytes().all(plain)
    };
    let fits = path.is_empty()
        || path
            .strip_prefix('/')
            .is_some_and(|rest| rest.split('/').all(is_segment));
    if fits {
        Ok(path.to_owned())
    } else {
        Err(format!("{BASE_PATH_HEADER}: write it as /path"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_path_stays_a_path() {
        for fine in ["", "/registry", "/a/b-c"] {
            assert_eq!(base_path(fine).as_deref(), Ok(fine));
        }
        for bad in ["registry", "/", "/a//b", "/../x", "/a?b=c", "/a#b", "/a@b"] {
            assert!(base_path(bad).is_err(), "{bad}");
        }
    }
}
