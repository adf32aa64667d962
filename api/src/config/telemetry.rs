//! `[telemetry]`: where logs and traces go, which traces are kept, and where people look at them. The usual `OTEL_*`
//! variables win over the file.

use process::config::Faults;
use process::telemetry::{TelemetryOptions, TelemetrySection};
use wire::paths;

use super::section::Section;
use super::web_address;

const JAEGER_KEY: &str = "jaeger_ui";

/// The options, and the URL of Jaeger's pages.
pub(super) fn read(
    service: &str,
    jaeger_flag: Option<String>,
    mut section: Section,
    faults: &mut Faults,
) -> (TelemetryOptions, Option<url::Url>) {
    let own = TelemetrySection {
        otlp_endpoint: section.text("otlp_endpoint", faults),
        otlp_protocol: section.text("otlp_protocol", faults),
        log: section.text("log", faults),
        log_format: section.text("log_format", faults),
        sample_ratio: section.number("sample_ratio", faults),
        profiling: section.switch("profiling", faults).unwrap_or_default(),
    };
    let jaeger = jaeger_flag.or(section.text(JAEGER_KEY, faults));
    let jaeger_key = section.full(JAEGER_KEY);
    section.end(faults);
    let jaeger = jaeger.and_then(|url| faults.check(&jaeger_key, web_address(&url, "http://jaeger:16686")));
    let mut options = TelemetryOptions::from_environment(service);
    own.add_to(&mut options, faults);
    kept_and_dropped(&mut options);
    (options, jaeger)
}

/// Preheats are kept whatever the ratio. What asks again and again, only to hear that nothing is new, is not.
pub(crate) fn kept_and_dropped(options: &mut TelemetryOptions) {
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
    let polls = polls.into_iter().chain(peer::share::UNTRACED);
    options.trace_never = polls.map(str::to_owned).chain(of_peers).collect();
}
