//! The admin port: probes, metrics and runtime settings.
//!
//! **Invariant:** everyone who reaches the port may read. Changes and costly requests require the [`AdminKey`], which
//! only readers of the data folder have.

mod key;
mod log;
mod profile;

pub use key::AdminKey;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;

use crate::metrics::{Format, Metrics};
use crate::{Readiness, Vitals};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The routes of an admin port and their state.
pub struct Admin {
    readiness: Readiness,
    vitals: Vitals,
    key: AdminKey,
}

impl Admin {
    pub fn new(vitals: &Vitals, readiness: Readiness, key: AdminKey) -> Self {
        Self {
            readiness,
            vitals: vitals.clone(),
            key,
        }
    }

    /// Returns all routes; `guarded` are the program's own routes that require the key.
    pub fn router(self, guarded: Router) -> Router {
        let mut own = Router::new()
            .route("/log", get(log::get).put(log::put))
            .with_state(self.vitals.levels);
        if self.vitals.profiling {
            let profile = get(profile::get).with_state(profile::Profiling::default());
            own = own.route("/debug/pprof/profile", profile);
        }
        let guarded = self.key.guard(guarded.merge(own));
        Router::new()
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(ready).with_state(self.readiness))
            // Nydus calls this route.
            .route("/server/ping", get(|| async { "pong\n" }))
            .route("/metrics", get(metrics_text).with_state(self.vitals.metrics))
            .merge(guarded)
    }
}

async fn ready(State(readiness): State<Readiness>) -> (StatusCode, &'static str) {
    if readiness.is_ready() {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "starting\n")
    }
}

async fn metrics_text(State(metrics): State<Metrics>, headers: HeaderMap) -> impl IntoResponse {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let (format, content_type) =
        if accept.is_some_and(|accept| accept.contains("application/openmetrics-text")) {
            (Format::OpenMetrics, OPEN_METRICS)
        } else {
            (Format::Prometheus, PROMETHEUS)
        };
    ([(header::CONTENT_TYPE, content_type)], metrics.text(format))
}
