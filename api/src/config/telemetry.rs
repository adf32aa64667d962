//! The traces that the manager keeps.

use process::telemetry::TelemetryOptions;
use wire::paths;

/// Always keeps the traces of preheats, and never those of polls.
pub(crate) fn trace_preheats_not_polls(options: &mut TelemetryOptions) {
    options.trace_always = ["POST /oapi/v1/jobs", "POST /api/v1/preheats"]
        .map(str::to_owned)
        .to_vec();
    let polls = [
        "GET /healthy",
        "GET /oapi/v1/jobs/{id}",
        "GET /api/v1/preheats/{id}",
        "GET /metrics",
        "GET /healthz",
        "GET /readyz",
        "GET /server/ping",
    ];
    let of_peers = [paths::WORK, paths::PROGRESS, paths::HOLDINGS].map(|path| format!("POST {path}"));
    options.trace_never = polls.map(str::to_owned).into_iter().chain(of_peers).collect();
}
