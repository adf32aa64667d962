//! What container runtimes talk to: a registry's read side, over plain HTTP on this machine.
//!
//! A request is read once (`path`, `registry_choice`, `caller`), then asked the one question of
//! `access` (may this caller read this object here?), then answered from the store or by following a fetch.
//!
//! **Invariant:** no cached private object goes to a caller who could not pull it from its registry; only registries
//! that are configured, named by a preheat or allowed are dialled; a wrong object ends as a broken transfer.
//!
//! Non-goals: pushes, listings, referrers. Those get 404, and the runtime goes to the registry itself.

mod access;
mod accounts;
mod authorize;
mod bars;
mod blobs;
mod blocked;
mod caller;
mod challenge_relay;
mod decision;
mod listings;
mod manifests;
mod objects;
mod path;
mod range;
mod registry_choice;
mod relayed;
mod respond;
mod seeds;
mod silence;
mod tags;
#[cfg(test)]
mod tests;
mod token_relay;
mod told;
mod yeses;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::any;
use http::header::HOST;
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, Method, StatusCode};
use oci::RegistryName;
use process::metrics::Metrics;
use process::telemetry::{RouteTemplate, edge};
use tokio::sync::Semaphore;
use wire::Side;

use crate::config::FrontLimits;
use crate::fetch::Fetches;
use crate::metrics::PeerMetrics;
use crate::neighbours::Neighbours;
use crate::pulls::RecentPulls;
use accounts::Accounts;
use caller::Keyring;
use challenge_relay::{ChallengeRelay, TOKEN_PATH};
use listings::Listings;
use path::{Asked, Object as AskedObject};
use registry_choice::{NoRegistry, Origin, is_named, named};
use respond::{Refusal, version_two};
use store::Store;

pub(crate) use relayed::Relayed;

use seeds::NotPublic;
use silence::Silence;
use told::Outcome;
use yeses::{Notes, Yeses};

/// Requests that are answered at one time; the rest is told at once to go to the registry.
const AT_ONCE: usize = 1_024;
const FRONT_UNLESS_TOLD: &str = "127.0.0.1:65001";
const YES_NOTES: &str = "front-yes";
const CHALLENGE_NOTES: &str = "front-challenge";

/// Everything that the front needs; clones share it.
#[derive(Clone)]
pub struct FrontState(Arc<Front>);

struct Front {
    store: Store,
    fetches: Fetches,
    metrics: PeerMetrics,
    pulls: RecentPulls,
    neighbours: Neighbours,
    limits: FrontLimits,
    now: Box<dyn Fn() -> i64 + Send + Sync>,
    keyring: Keyring,
    accounts: Accounts,
    yeses: Yeses,
    listings: Listings,
    challenges: ChallengeRelay,
    silence: Silence,
    not_public: NotPublic,
    token_clients: token_relay::Clients,
    room: Arc<Semaphore>,
}

impl FrontState {
    /// `secret` is this node's own: what is remembered of callers is only good with it.
    pub fn new(
        store: Store,
        fetches: Fetches,
        neighbours: Neighbours,
        limits: FrontLimits,
        secret: [u8; 32],
    ) -> Self {
        Self::with_clock(
            store,
            fetches,
            neighbours,
            limits,
            secret,
            process::clock::unix_ms,
        )
    }

    /// What runtimes asked for last.
    pub(crate) fn pulls(&self) -> &RecentPulls {
        &self.0.pulls
    }

    fn with_clock(
        store: Store,
        fetches: Fetches,
        neighbours: Neighbours,
        limits: FrontLimits,
        secret: [u8; 32],
        now: impl Fn() -> i64 + Send + Sync + 'static,
    ) -> Self {
        let notes = |table| StoreNotes {
            store: store.clone(),
            table,
        };
        Self(Arc::new(Front {
            yeses: Yeses::open(notes(YES_NOTES)),
            challenges: ChallengeRelay::open(notes(CHALLENGE_NOTES)),
            listings: Listings::new(store.clone()),
            keyring: Keyring::new(&secret),
            accounts: Accounts::default(),
            silence: Silence::default(),
            not_public: NotPublic::default(),
            token_clients: token_relay::Clients::default(),
            room: Arc::new(Semaphore::new(AT_ONCE)),
            now: Box::new(now),
            metrics: fetches.metrics().clone(),
            pulls: RecentPulls::default(),
            store,
            fetches,
            neighbours,
            limits,
        }))
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
        let origin = self
            .choose(asked.registry.clone(), request.uri.query(), headers)
            .map_err(|why| Refusal::not_found("NAME_UNKNOWN", why.to_string()))?;
        outcome.asked = told::Asked {
            registry: origin.registry.to_string(),
            repository: asked.repository.to_string(),
            reference: asked.object.to_string(),
            digest: None,
            kind: Some(asked.object.kind()),
        };
        let who = self.who(origin, asked.repository, headers);
        self.unless_blocked(&who, &asked.object)?;
        match asked.object {
            AskedObject::Manifest(wanted) => self.manifests(&who, &wanted, headers, head_only, outcome).await,
            AskedObject::Blob(digest) => self.blobs(&who, &digest, headers, head_only, outcome).await,
        }
    }

    /// The registry that the request means, under its one name, if it may be dialled.
    fn choose(
        &self,
        by_path: Option<RegistryName>,
        query: Option<&str>,
        headers: &HeaderMap,
    ) -> Result<Origin, NoRegistry> {
        let named = match by_path {
            Some(registry) => Origin::of(registry),
            None => named(query, headers)?,
        };
        let registries = self.neighbours.registries();
        let registry = registries.canonical(&named.registry);
        let configured_plain = registries
            .settings(&registry)
            .is_some_and(|settings| settings.plain_http);
        let origin = Origin {
            plain_http: named.plain_http || configured_plain,
            base_path: named.base_path,
            registry,
        };
        if self.may_dial(&origin) {
            Ok(origin)
        } else {
            Err(NoRegistry::NotAllowed(origin.registry))
        }
    }

    fn may_dial(&self, origin: &Origin) -> bool {
        let allowed = |pattern: &String| oci::is_named_by(&origin.registry, pattern);
        self.neighbours.may_dial(&origin.registry) || self.limits.allow.iter().any(allowed)
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

/// Host and port that the caller reached us at.
fn own_address(headers: &HeaderMap) -> String {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    host.and_then(|host| host.parse::<Authority>().ok())
        .filter(|host| !host.as_str().contains('@'))
        .map_or_else(|| FRONT_UNLESS_TOLD.to_owned(), |host| host.to_string())
}

/// Notes of one table of the store's index.
struct StoreNotes {
    store: Store,
    table: &'static str,
}

impl Notes for StoreNotes {
    fn put(&self, name: &str, value: &[u8]) {
        self.store.put_note(self.table, name, value);
    }

    fn remove(&self, name: &str) {
        self.store.remove_note(self.table, name);
    }

    fn all(&self) -> Vec<(String, Vec<u8>)> {
        self.store.all_notes(self.table)
    }
}
