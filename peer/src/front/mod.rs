//! Serves container runtimes: the read side of a registry, over plain HTTP on this machine.
//!
//! A request is parsed once (`path`, and in `access` the registry and the caller). Then `access` decides whether the
//! caller may read the object, and the response is read from the store or from a fetch.
//!
//! **Invariant:** a caller who could not pull a private object from its registry does not get it here. Only registries
//! that are configured, named by a preheat or allowed are dialled. A wrong object ends as a broken transfer.
//!
//! Lists (tags, referrers) come from the registry each time. Pushes and the catalog are not served.

mod blobs;
mod blocked;
mod lists;
mod manifests;
mod objects;
mod outcome;
mod path;
mod range;
mod respond;
mod state;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get};
use http::request::Parts;
use http::{Method, StatusCode};
use process::metrics::Metrics;
use process::telemetry::{RouteTemplate, edge};
use wire::Side;

use crate::access::{
    NAMESPACE_HEADER, Refusal, TOKEN_PATH, has_authorization, is_named, own_challenge, used_namespace,
};
use outcome::{PullOutcome, PullTarget};
use path::{ObjectPath, RequestedObject, RequestedPath};
use respond::{name_the_version, version_two};
use state::Front;
pub use state::FrontState;
pub(crate) use state::RangeRules;

const NOT_SERVED: &str =
    "this path is not served: ask the registry itself for anything but manifests, blobs, tags and referrers";

pub fn router(state: FrontState, metrics: &Metrics) -> Router {
    let all = Router::new()
        .route("/healthz", get(healthz))
        .route("/v2", any(root))
        .route("/v2/", any(root))
        .route("/v2/{*object}", any(object))
        .route(TOKEN_PATH, any(token))
        .fallback(nothing);
    edge(all, "front", metrics).with_state(state)
}

/// Clients learn here how to sign in, and some (podman, skopeo, CRI-O) send no credential unless they are asked for one.
async fn root(State(state): State<FrontState>, request: Request) -> Response {
    let (headers, access) = (request.headers(), &state.0.access);
    if has_authorization(headers) {
        return version_two();
    }
    let named = access.allowed().token_query(request.uri().query(), headers);
    let challenge = own_challenge(&access.front_address(headers), named);
    let mut response = Refusal::Challenge(challenge.into_iter().collect()).into_response();
    name_the_version(&mut response);
    response
}

async fn healthz() -> Response {
    "ok".into_response()
}

async fn nothing() -> Response {
    Refusal::not_found("UNSUPPORTED", NOT_SERVED).into_response()
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
    // A body is not read.
    let (parts, _) = request.into_parts();
    let mut response = match requested_path(&parts) {
        Some(RequestedPath::List(list)) => state.0.list(&parts, list).await,
        Some(RequestedPath::Object(object)) => answer(state.0, &parts, Some(object)).await,
        None => answer(state.0, &parts, None).await,
    };
    if let Some(namespace) = used_namespace(parts.uri.query(), &parts.headers) {
        response.headers_mut().insert(NAMESPACE_HEADER, namespace);
    }
    response
}

async fn answer(front: Arc<Front>, parts: &Parts, requested: Option<ObjectPath>) -> Response {
    let template = requested
        .as_ref()
        .map(|requested| RouteTemplate(requested.object.template()));
    let head_only = parts.method == Method::HEAD;
    let mut outcome = PullOutcome::begin(head_only, front.clone());
    let mut response = match front.answer(parts, requested, head_only, &mut outcome).await {
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
fn requested_path(request: &Parts) -> Option<RequestedPath> {
    let path = request.uri.path();
    if is_named(request.uri.query(), &request.headers) {
        path::parse(path)
    } else {
        path::parse_with_registry(path)
    }
}

/// Returns the requested object, if the method and the path are ones that this peer serves.
fn readable(request: &Parts, requested: Option<ObjectPath>) -> Result<ObjectPath, Refusal> {
    if_it_reads(&request.method)?;
    requested.ok_or_else(|| match path::unknown_algorithm(request.uri.path()) {
        Some(algorithm) => Refusal::unknown_algorithm(&algorithm),
        None => Refusal::not_found("UNSUPPORTED", NOT_SERVED),
    })
}

fn if_it_reads(method: &Method) -> Result<(), Refusal> {
    if matches!(*method, Method::GET | Method::HEAD) {
        return Ok(());
    }
    Err(Refusal::Status(
        StatusCode::METHOD_NOT_ALLOWED,
        "UNSUPPORTED",
        "this peer only reads: push to the registry itself".to_owned(),
        Side::Caller,
    ))
}
