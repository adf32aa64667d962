//! `[telemetry]`: where logs and traces go, which traces are kept, and where people look at them. The usual `OTEL_*`
//! variables win over the file.

use process::config::Faults;
use process::telemetry::{OtlpProtocol, TelemetryOptions};
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
    let mut options = TelemetryOptions::from_environment(service);
    let endpoint = section.text("otlp_endpoint", faults);
    let protocol = section.text("otlp_protocol", faults);
    let log = section.text("log", faults);
    let format = section.text("log_format", faults);
    let ratio = section.fraction("sample_ratio", faults);
    let jaeger = jaeger_flag.or(section.text(JAEGER_KEY, faults));
    let [protocol_key, format_key, jaeger_key] =
        ["otlp_protocol", "log_format", JAEGER_KEY].map(|key| section.full(key));
    section.end(faults);

    let protocol = protocol.and_then(|text| faults.check(&protocol_key, protocol_named(&text)));
    let json = format.and_then(|text| faults.check(&format_key, is_json(&text)));
    let jaeger = jaeger.and_then(|url| faults.check(&jaeger_key, web_address(&url, "http://jaeger:16686")));
    if options.otlp_endpoint.is_none() && endpoint.is_some() {
        options.otlp_endpoint = endpoint;
        options.otlp_protocol = protocol.unwrap_or_default();
    }
    options.log_filter = options.log_filter.or(log);
    options.log_json = options.log_json || json.unwrap_or(false);
    options.sample_ratio = options.sample_ratio.or(ratio);
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
    options.trace_never = polls.into_iter().map(str::to_owned).chain(of_peers).collect();
}

fn protocol_named(text: &str) -> Result<OtlpProtocol, &'static str> {
    match text {
        "grpc" => Ok(OtlpProtocol::Grpc),
        "http/protobuf" => Ok(OtlpProtocol::HttpBinary),
        _ => Err("must be \"grpc\" or \"http/protobuf\""),
    }
}

fn is_json(text: &str) -> Result<bool, &'static str> {
    match text {
        "json" => Ok(true),
        "text" => Ok(false),
        _ => Err("must be \"text\" or \"json\""),
    }
}
