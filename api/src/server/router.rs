//! Lists every route and every layer.

use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, delete, get, post};
use process::metrics::Metrics;
use process::telemetry::edge;
use tower_http::catch_panic::CatchPanicLayer;
use wire::paths;

use crate::server::app::App;
use crate::server::endpoint;
use crate::server::extract::{of_own_session, only_peers, only_renewable};
use crate::server::openapi;
use crate::server::problem::{Kind, Problem};
use crate::server::routes::{
    clusters, explain, harbor, hooks, images, join_tokens, joining, notifications, peers, preheats, sessions,
    tokens,
};

const CALLER_BODY: usize = 256 * 1024;
/// A peer's full list of holdings comes in parts; this is room for some forty thousand objects.
const PEER_BODY: usize = 8 * 1024 * 1024;
/// Harbor gives up after 30 s, and a job whose answer it does not see is lost.
const CALL_LIMIT: Duration = Duration::from_secs(25);
/// The long poll waits 20 s at most, and then answers.
const WORK_LIMIT: Duration = Duration::from_secs(40);

const JOIN_BODY: usize = 16 * 1024;

/// What Harbor, people and registries call.
pub fn router(app: App, metrics: &Metrics) -> Router {
    app.register_metrics(metrics);
    let callers = Router::new()
        // what Harbor 2.12 and newer speaks
        .route("/healthy", get(harbor::dragonfly_jobs::healthy::healthy))
        .route("/oapi/v1/jobs", post(harbor::dragonfly_jobs::create::create))
        .route("/oapi/v1/jobs/{id}", get(harbor::dragonfly_jobs::get::get))
        // what Harbor 2.1 to 2.11 speaks
        .route("/_ping", get(harbor::dragonfly_preheats::ping::ping))
        .route("/preheats", post(harbor::dragonfly_preheats::create::create))
        .route("/preheats/{id}", get(harbor::dragonfly_preheats::get::get))
        // what Harbor's provider "Kraken" speaks, and registries that tell of pushes
        .route("/health", get(harbor::kraken::health::health))
        .route("/registry/notifications", post(notifications::create::create))
        .route("/hooks/{kind}", post(hooks::receive::receive))
        // our own
        .route(
            "/api/v1/preheats",
            post(preheats::create::create).get(preheats::list::list),
        )
        .route("/api/v1/preheats/{id}", get(preheats::get::get))
        .route("/api/v1/preheats/{id}/objects", get(preheats::objects::objects))
        .route("/api/v1/preheats/{id}/cancel", post(preheats::cancel::cancel))
        .route("/api/v1/preheats/{id}/retry", post(preheats::retry::retry))
        .route("/api/v1/preheats/{id}/events", get(preheats::events::events))
        .route("/api/v1/explain", get(explain::get::get))
        .route("/api/v1/images/where", get(images::whereabouts::whereabouts))
        .route(
            "/api/v1/images/pins",
            post(images::rules::create_pin).get(images::rules::list_pins),
        )
        .route("/api/v1/images/pins/{id}", delete(images::rules::delete_pin))
        .route("/api/v1/images/removals", post(images::rules::create_removal))
        .route("/api/v1/images/blocks", get(images::rules::list_blocks))
        .route("/api/v1/images/blocks/{id}", delete(images::rules::delete_block))
        .route("/api/v1/peers", get(peers::list::list))
        .route("/api/v1/peers/{id}", delete(peers::remove::remove))
        .route(
            "/api/v1/join-tokens",
            post(join_tokens::create::create).get(join_tokens::list::list),
        )
        .route("/api/v1/join-tokens/{id}", delete(join_tokens::revoke::revoke))
        .route("/api/v1/clusters", get(clusters::list::list))
        .route(
            "/api/v1/clusters/{name}/limits",
            get(clusters::limits::get)
                .put(clusters::limits::set)
                .delete(clusters::limits::reset),
        )
        .route(
            "/api/v1/tokens",
            post(tokens::create::create).get(tokens::list::list),
        )
        .route("/api/v1/tokens/{id}", delete(tokens::revoke::revoke))
        .route("/openapi.json", get(openapi::serve))
        .layer(DefaultBodyLimit::max(CALLER_BODY))
        .layer(from_fn_with_state(CALL_LIMIT, within));
    let all = Router::new()
        .merge(callers)
        .route(paths::ALL, any(join_anew))
        .fallback(|| async {
            Problem::not_found("No such path: GET /openapi.json lists all that there are.")
        })
        .method_not_allowed_fallback(|| async {
            Problem::new(
                Kind::Method,
                "The path is right and the method is not: see GET /openapi.json.",
            )
        })
        // a panic is that request's failure
        .layer(CatchPanicLayer::custom(Problem::from_panic));
    // outermost: all of the above happens inside the request's span
    let seen = edge(all, "manager", metrics).with_state(app);
    // further out still: tokens in paths are taken out before the span is made
    endpoint::outside(seen)
}

/// What peers call, on a port of its own: TLS 1.3 with certificates of the manager's authority. Only the join route wants
/// none.
pub fn peer_router(app: App, metrics: &Metrics) -> Router {
    let join = Router::new()
        .route(paths::JOIN, post(joining::join::join))
        .layer(DefaultBodyLimit::max(JOIN_BODY));
    let renew = Router::new()
        .route(paths::RENEW, post(joining::renew::renew))
        .layer(from_fn_with_state(app.clone(), only_renewable));
    let hello = Router::new()
        .route(paths::SESSIONS, post(sessions::hello::hello))
        .layer(from_fn_with_state(app.clone(), only_peers));
    let sessions = Router::new()
        .route(paths::PROGRESS, post(sessions::progress::progress))
        .route(paths::SETTLE, post(sessions::settle::settle))
        .route(paths::HOLDINGS, post(sessions::holdings::holdings))
        .route(paths::ANSWERS, post(sessions::answer::answer))
        .route(paths::CREDENTIAL, get(sessions::credential::credential))
        .route(paths::PARENTS, get(sessions::parents::parents))
        .layer(from_fn_with_state(CALL_LIMIT, within));
    let waiting = Router::new()
        .route(paths::WORK, post(sessions::work::work))
        .layer(from_fn_with_state(WORK_LIMIT, within));
    let of_sessions = sessions
        .merge(waiting)
        .layer(DefaultBodyLimit::max(PEER_BODY))
        .layer(from_fn_with_state(app.clone(), of_own_session))
        .layer(from_fn_with_state(app.clone(), only_peers));
    let all = join
        .merge(renew)
        .merge(hello)
        .layer(from_fn_with_state(CALL_LIMIT, within))
        .merge(of_sessions)
        .fallback(|| async { Problem::not_found("No such path on the peers' port.") })
        .layer(CatchPanicLayer::custom(Problem::from_panic));
    edge(all, "manager", metrics).with_state(app)
}

/// A peer of before certificates: its log shows this text.
async fn join_anew(State(app): State<App>) -> Problem {
    Problem::new(
        Kind::JoinAnew,
        format!(
            "Peers join with a join token and speak TLS on port {port} now: make a token with `stoker token create --scope \
             node` (or seed), then start `stoker-peer --manager https://THIS-MANAGER:{port} --join-token-file FILE`.",
            port = app.peer_port()
        ),
    )
}

/// A body that drips in, or a database that hangs, must not hold a connection for ever.
async fn within(State(limit): State<Duration>, request: Request, next: Next) -> Response {
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::busy().into_response(),
    }
}
