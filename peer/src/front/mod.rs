//! Serves container runtimes: the read side of a registry, over plain HTTP on this machine.
//!
//! A request is parsed once (`path`, and in `access` the registry and the caller). Then `access` decides whether the caller
//! may read the object, and the response is read from the store or from a fetch.
//!
//! **Invariant:** a caller who could not pull a private object from its registry does not get it here. Only registries that
//! are configured, named by a preheat or allowed are dialled. A wrong object ends as a broken transfer.
//!
//! Pushes, listings and referrers are not served: they get 404, and the runtime asks the registry itself.

mod blobs;
mod blocked;
mod manifests;
mod objects;
mod outcome;
mod path;
mod range;
mod respond;
mod state;
#[cfg(test)]
mod tests;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::any;
use http::request::Parts;
use http::{Method, StatusCode};
use process::metrics::Metrics;
use process::telemetry::{RouteTemplate, edge};
use wire::Side;

use crate::access::{Refusal, TOKEN_PATH, is_named};
use outcome::{PullOutcome, PullTarget};
use path::{ObjectPath, RequestedObject};
use respond::version_two;
use state::Front;
pub use state::FrontState;
pub(crate) use state::RangeRules;

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
    Refusal::not_found(
        "UNSUPPORTED",
        "this path is not served: ask the registry itself for anything but manifests and blobs",
    )
    .into_response()
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
    // A body is not read.
    let (parts, _) = request.into_parts();
    let requested = object_path(&parts);
    let template = requested
        .as_ref()
        .map(|requested| RouteTemplate(requested.object.template()));
    let head_only = parts.method == Method::HEAD;
    let mut outcome = PullOutcome::begin(head_only, front.clone());
    let mut response = match front.answer(&parts, requested, head_only, &mut outcome).await {
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
        requested: Option<ObjectPath>,
        head_only: bool,
        outcome: &mut PullOutcome,
    ) -> Result<Response, Refusal> {
        let Ok(room) = self.room.clone().try_acquire_owned() else {
            let text = "this peer answers too many requests: ask the registry itself";
            return Err(Refusal::unavailable(text));
        };
        outcome.hold(room);
        let requested = readable(request, requested)?;
        let headers = &request.headers;
        let allowed = self
            .access
            .allowed()
            .choose(
                requested.registry,
                requested.repository,
                request.uri.query(),
                headers,
            )
            .map_err(|why| Refusal::not_found("NAME_UNKNOWN", why.to_string()))?;
        outcome.target = PullTarget {
            registry: allowed.location().registry().to_string(),
            repository: allowed.location().repository.to_string(),
            reference: requested.object.to_string(),
            digest: None,
            kind: Some(requested.object.kind()),
        };
        let caller = self.access.caller(allowed, headers);
        self.unless_blocked(&caller, &requested.object)?;
        match requested.object {
            RequestedObject::Manifest(wanted) => {
                self.manifests(&caller, &wanted, headers, head_only, outcome)
                    .await
            }
            RequestedObject::Blob(digest) => self.blobs(&caller, &digest, headers, head_only, outcome).await,
        }
    }
}

/// A registry in the path counts only if neither header nor query names one.
fn object_path(request: &Parts) -> Option<ObjectPath> {
    let path = request.uri.path();
    if is_named(request.uri.query(), &request.headers) {
        path::parse(path)
    } else {
        path::parse_with_registry(path)
    }
}

/// Returns the requested object, if the method and the path are ones that this peer serves.
fn readable(request: &Parts, requested: Option<ObjectPath>) -> Result<ObjectPath, Refusal> {
    if !matches!(request.method, Method::GET | Method::HEAD) {
        return Err(Refusal::Status(
            StatusCode::METHOD_NOT_ALLOWED,
            "UNSUPPORTED",
            "this peer only reads: push to the registry itself".to_owned(),
            Side::Caller,
        ));
    }
    requested.ok_or_else(|| match path::unknown_algorithm(request.uri.path()) {
        Some(algorithm) => Refusal::unknown_algorithm(&algorithm),
        None => Refusal::not_found(
            "UNSUPPORTED",
            "this path is not served: ask the registry itself for anything but manifests and blobs",
        ),
    })
}
