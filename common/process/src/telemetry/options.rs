//! Options for logs and traces, as the usual environment variables set them.

/// Options for logs and traces.
#[derive(Debug, Clone, Default)]
pub struct TelemetryOptions {
    /// The service name in traces: `stoker-manager`, `stoker-seed` or `stoker-peer`.
    pub service: String,
    /// The log filter, as in `RUST_LOG`; `None` means `info`.
    pub log_filter: Option<String>,
    pub log_json: bool,
    /// Base URL of an OTLP collector: `http://jaeger:4317` (gRPC) or `http://jaeger:4318` (HTTP).
    pub otlp_endpoint: Option<String>,
    pub otlp_protocol: OtlpProtocol,
    /// The share of traces without a parent that is recorded, 0 to 1; `None` means all.
    pub sample_ratio: Option<f64>,
    /// Server spans that are always recorded, regardless of the ratio and of the caller's trace.
    pub trace_always: Vec<String>,
    /// Housekeeping spans: not recorded without a parent.
    pub trace_never: Vec<String>,
    /// Whether CPU profiles are available over the admin port.
    pub profiling: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OtlpProtocol {
    Grpc,
    #[default]
    HttpBinary,
}

impl TelemetryOptions {
    /// Reads the usual variables: `RUST_LOG`, `STOKER_LOG_FORMAT=json`, `OTEL_*`.
    #[expect(
        clippy::disallowed_methods,
        reason = "the standard names of OpenTelemetry are environment variables"
    )]
    pub fn from_environment(service: &str) -> Self {
        Self::from_variables(service, |name| std::env::var(name).ok())
    }

    fn from_variables(service: &str, variable: impl Fn(&str) -> Option<String>) -> Self {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let endpoint = variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
            .map(|url| url.trim_end_matches("/v1/traces").to_owned())
            .or_else(|| variable("OTEL_EXPORTER_OTLP_ENDPOINT"));
        let protocol = variable("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
            .or_else(|| variable("OTEL_EXPORTER_OTLP_PROTOCOL"));
        let disabled = variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
            || variable("OTEL_TRACES_EXPORTER").is_some_and(|value| value == "none");
        Self {
            service: variable("OTEL_SERVICE_NAME").unwrap_or_else(|| service.to_owned()),
            log_filter: variable("RUST_LOG"),
            log_json: variable("STOKER_LOG_FORMAT").is_some_and(|format| format == "json"),
            otlp_endpoint: endpoint.filter(|_| !disabled),
            otlp_protocol: match protocol.as_deref() {
                Some("grpc") => OtlpProtocol::Grpc,
                _ => OtlpProtocol::HttpBinary,
            },
            sample_ratio: ratio(
                variable("OTEL_TRACES_SAMPLER").as_deref(),
                variable("OTEL_TRACES_SAMPLER_ARG").as_deref(),
            ),
            trace_always: Vec::new(),
            trace_never: Vec::new(),
            profiling: variable("STOKER_PROFILING").is_some_and(|value| value == "1" || value == "true"),
        }
    }
}

/// Returns the ratio of a standard sampler. The parent's decision is respected in any case.
fn ratio(sampler: Option<&str>, argument: Option<&str>) -> Option<f64> {
    match sampler? {
        "always_off" | "parentbased_always_off" => Some(0.0),
        "traceidratio" | "parentbased_traceidratio" => {
            let ratio: f64 = argument?.parse().ok()?;
            (0.0..=1.0).contains(&ratio).then_some(ratio)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(given: &[(&str, &str)]) -> TelemetryOptions {
        TelemetryOptions::from_variables("stoker-manager", |name| {
            let found = given.iter().find(|(given, _)| *given == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_variables_of_opentelemetry_are_read() {
        let options = of(&[
            (
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
                "http://jaeger:4318/v1/traces",
            ),
            ("OTEL_SERVICE_NAME", "edge"),
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
        ]);
        assert_eq!(options.otlp_endpoint.as_deref(), Some("http://jaeger:4318"));
        assert_eq!(
            (options.service.as_str(), options.sample_ratio),
            ("edge", Some(0.25))
        );
    }

    #[test]
    fn an_exporter_that_is_switched_off_stays_off() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://jaeger:4317");
        for off in [("OTEL_SDK_DISABLED", "TRUE"), ("OTEL_TRACES_EXPORTER", "none")] {
            assert_eq!(of(&[endpoint, off]).otlp_endpoint, None, "{off:?}");
        }
        assert!(of(&[endpoint]).otlp_endpoint.is_some());
    }

    #[test]
    fn an_invalid_ratio_is_ignored() {
        assert_eq!(ratio(Some("traceidratio"), Some("2")), None);
        assert_eq!(ratio(Some("always_off"), None), Some(0.0));
        assert_eq!(ratio(None, Some("0.5")), None);
    }

    #[test]
    fn profiles_are_off_until_the_variable_switches_them_on() {
        assert!(!of(&[]).profiling);
        assert!(!of(&[("STOKER_PROFILING", "0")]).profiling);
        assert!(of(&[("STOKER_PROFILING", "1")]).profiling);
    }
}
