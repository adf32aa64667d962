//! What container runtimes talk to: a registry's read side, over plain HTTP on this machine.
//!
//! A request is read once (`path`, `registry_choice`, `caller`), then asked the one question of
//! `access` (may this caller read this object here?), then answered from the store or by following a fetch.
//!
//! **Invariant:** no cached private object goes to a caller who could not pull it from its registry; only registries
//! that are configured, named by a preheat or allowed are dialled; a wrong object ends as a broken transfer.
//!
//! Non-goals: pushes, listings, referrers. Those get 404, and the runtime goes to the registry itself.

mod blobs;
mod blocked;
mod manifests;
mod objects;
mod outcome;
mod path;
mod range;
mod respond;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::any;
use http::request::Parts;
use http::{Method, StatusCode};
use process::metrics::Metrics;
use process::telemetry::{RouteTemplate, edge};
use store::Store;
use tokio::sync::Semaphore;
use wire::Side;

use crate::access::{Access, Refusal, TOKEN_PATH, is_named};
use crate::config::{FrontLimits, UnprovenRanges};
use crate::delivery::Delivery;
use crate::fetch::Fetches;
use crate::metrics::PeerMetrics;
use crate::neighbours::Neighbours;
use crate::pulls::RecentPulls;
use outcome::Outcome;
use path::{Asked, Object as AskedObject};
use respond::version_two;

/// Requests that are answered at one time; the rest is told at once to go to the registry.
const AT_ONCE: usize = 1_024;
/// As long as a location has for showing that it delivers an object.
const PROOF_LIMIT: Duration = Duration::from_secs(50);

/// Everything that the front needs; clones share it.
#[derive(Clone)]
pub struct FrontState(Arc<Front>);

struct Front {
    access: Access,
    delivery: Delivery,
    store: Store,
    fetches: Fetches,
    metrics: PeerMetrics,
    pulls: RecentPulls,
    neighbours: Neighbours,
    ranges: RangeRules,
    now: Box<dyn Fn() -> i64 + Send + Sync>,
    room: Arc<Semaphore>,
}

/// What readers of ranges get while the object is not here, and what is fetched for them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RangeRules {
    /// The rest of the object is fetched too.
    pub(crate) prefetch: bool,
    pub(crate) unproven: UnprovenRanges,
    /// The longest that a reader waits for the proof of the whole.
    pub(crate) proof_limit: Duration,
}

impl RangeRules {
    pub(crate) fn of(limits: &FrontLimits) -> Self {
        Self {
            prefetch: limits.prefetch,
            unproven: limits.unproven_ranges,
            proof_limit: PROOF_LIMIT,
        }
    }
}

impl FrontState {
    pub(crate) fn new(
        access: Access,
        delivery: Delivery,
        store: Store,
        fetches: Fetches,
        neighbours: Neighbours,
        ranges: RangeRules,
        now: impl Fn() -> i64 + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Front {
            access,
            delivery,
            room: Arc::new(Semaphore::new(AT_ONCE)),
            now: Box::new(now),
            metrics: fetches.metrics().clone(),
            pulls: RecentPulls::default(),
            store,
            fetches,
            neighbours,
            ranges,
        }))
    }

    /// What runtimes asked for last.
    pub(crate) fn pulls(&self) -> &RecentPulls {
        &self.0.pulls
    }
}

/// Every route of the front.
pub fn router(state: FrontState, metrics: &Metrics) -> Router {
    let all = Router::new()
        .route("/v2", any(root))
        .route("/v2/", any(root))
        .route("/v2/{*object}", any(object))
        .route(TOKEN_PATH, any(token))
        .fallback(nothing);
    edge(all, "front", metrics).with_state(state)
}

async fn root() -> Response {
    version_two()
}

async fn nothing() -> Response {
    Refusal::not_found("UNSUPPORTED", "only manifests and blobs are served here").into_response()
}

async fn token(State(state): State<FrontState>, request: Request) -> Response {
    state
        .0
        .access
        .token(request)
        .await
        .unwrap_or_else(Refusal::into_response)
}

async fn object(State(state): State<FrontState>, request: Request) -> Response {
    let front = state.0;
    // What there may be of a body is not read.
    let (parts, _) = request.into_parts();
    let asked = asked_of(&parts);
    let template = asked.as_ref().map(|asked| RouteTemplate(asked.object.template()));
    let head_only = parts.method == Method::HEAD;
    let mut outcome = Outcome::begin(head_only, front.clone());
    let mut response = match front.answer(&parts, asked, head_only, &mut outcome).await {
        Ok(response) => {
            outcome.answered(response.status());
            response
        }
        Err(refusal) => {
            outcome.refused(&refusal);
            refusal.into_response()
        }
    };
    if let Some(template) = template {
        response.extensions_mut().insert(template);
    }
    response
}

impl Front {
    async fn answer(
        &self,
        request: &Parts,
        asked: Option<Asked>,
        head_only: bool,
        outcome: &mut Outcome,
    ) -> Result<Response, Refusal> {
        let Ok(room) = self.room.clone().try_acquire_owned() else {
            let text = "too many requests are being answered: ask the registry itself";
            return Err(Refusal::unavailable(text));
        };
        outcome.takes(room);
        let asked = readable(&request.method, asked)?;
        let headers = &request.headers;
        let allowed = self
            .access
            .allowed()
            .choose(asked.registry, asked.repository, request.uri.query(), headers)
            .map_err(|why| Refusal::not_found("NAME_UNKNOWN", why.to_string()))?;
        outcome.asked = outcome::Asked {
            registry: allowed.location().registry().to_string(),
            repository: allowed.location().repository.to_string(),
            reference: asked.object.to_string(),
            digest: None,
            kind: Some(asked.object.kind()),
        };
        let caller = self.access.caller(allowed, headers);
        self.unless_blocked(&caller, &asked.object)?;
        match asked.object {
            AskedObject::Manifest(wanted) => {
                self.manifests(&caller, &wanted, headers, head_only, outcome)
                    .await
            }
            AskedObject::Blob(digest) => self.blobs(&caller, &digest, headers, head_only, outcome).await,
        }
    }
}

/// A registry in the path counts where none is named beside it.
fn asked_of(request: &Parts) -> Option<Asked> {
    let path = request.uri.path();
    if is_named(request.uri.query(), &request.headers) {
        path::parse(path)
    } else {
        path::parse_with_registry(path)
    }
}

/// What is asked, if it is something to be read here.
fn readable(method: &Method, asked: Option<Asked>) -> Result<Asked, Refusal> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return Err(Refusal::Status(
            StatusCode::METHOD_NOT_ALLOWED,
            "UNSUPPORTED",
            "this is a cache: push to the registry itself".to_owned(),
            Side::Caller,
        ));
    }
    asked.ok_or_else(|| Refusal::not_found("UNSUPPORTED", "only manifests and blobs are served here"))
}
