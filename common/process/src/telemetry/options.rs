//! How this program logs and where its traces go: the usual variables win over `[telemetry]` in its file.

use serde::Deserialize;

use crate::config::Faults;

/// How this program logs and where its traces go.
#[derive(Debug, Clone, Default)]
pub struct TelemetryOptions {
    /// `stoker-manager`, `stoker-seed`, `stoker-peer`.
    pub service: String,
    /// As in `RUST_LOG`; `info` unless given.
    pub log_filter: Option<String>,
    pub log_json: bool,
    /// Base URL of an OTLP collector: `http://jaeger:4317` (gRPC) or `http://jaeger:4318` (HTTP).
    pub otlp_endpoint: Option<String>,
    pub otlp_protocol: OtlpProtocol,
    /// The share of traces without a parent that is recorded, 0 to 1; all unless given.
    pub sample_ratio: Option<f64>,
    /// Server spans that are recorded whatever the ratio, and whatever the caller's own trace does.
    pub trace_always: Vec<String>,
    /// Server spans that are housekeeping: never recorded when they have no parent.
    pub trace_never: Vec<String>,
    /// CPU profiles may be taken over the admin port.
    pub profiling: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OtlpProtocol {
    Grpc,
    #[default]
    HttpBinary,
}

impl TelemetryOptions {
    /// The usual variables: `RUST_LOG`, `STOKER_LOG_FORMAT=json`, `OTEL_*`.
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

/// `[telemetry]` of a configuration file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TelemetrySection {
    pub otlp_endpoint: Option<String>,
    /// `grpc` or `http/protobuf`.
    pub otlp_protocol: Option<String>,
    /// As in `RUST_LOG`.
    pub log: Option<String>,
    /// `text` or `json`.
    pub log_format: Option<String>,
    /// 0 to 1.
    pub sample_ratio: Option<f64>,
    pub profiling: bool,
}

impl TelemetrySection {
    /// Adds what the variables left open.
    pub fn add_to(self, options: &mut TelemetryOptions, faults: &mut Faults) {
        let protocol = self
            .otlp_protocol
            .and_then(|text| faults.check("telemetry.otlp_protocol", protocol_named(&text)));
        let json = self
            .log_format
            .and_then(|text| faults.check("telemetry.log_format", is_json(&text)));
        if options.otlp_endpoint.is_none() && self.otlp_endpoint.is_some() {
            options.otlp_endpoint = self.otlp_endpoint;
            options.otlp_protocol = protocol.unwrap_or_default();
        }
        if let Some(ratio) = self.sample_ratio
            && !(0.0..=1.0).contains(&ratio)
        {
            faults.add("telemetry.sample_ratio", "must be a number from 0 to 1");
        }
        options.log_filter = options.log_filter.take().or(self.log);
        options.log_json = options.log_json || json.unwrap_or(false);
        options.sample_ratio = options.sample_ratio.or(self.sample_ratio);
        options.profiling |= self.profiling;
    }
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

/// What the standard samplers mean for us: we heed the parent in any case.
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
    fn the_variables_of_opentelemetry_are_understood() {
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
    fn a_ratio_that_is_none_is_not_taken() {
        assert_eq!(ratio(Some("traceidratio"), Some("2")), None);
        assert_eq!(ratio(Some("always_off"), None), Some(0.0));
        assert_eq!(ratio(None, Some("0.5")), None);
    }

    #[test]
    fn the_file_adds_what_the_variables_left_open() {
        let section = |endpoint: &str, ratio| TelemetrySection {
            otlp_endpoint: Some(endpoint.to_owned()),
            otlp_protocol: Some("grpc".to_owned()),
            sample_ratio: Some(ratio),
            ..TelemetrySection::default()
        };
        let mut faults = Faults::default();
        let mut options = of(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://variable:4318")]);
        section("http://file:4317", 0.5).add_to(&mut options, &mut faults);
        assert_eq!(options.otlp_endpoint.as_deref(), Some("http://variable:4318"));
        assert_eq!(
            (options.otlp_protocol, options.sample_ratio),
            (OtlpProtocol::HttpBinary, Some(0.5))
        );
        let mut options = of(&[]);
        section("http://file:4317", 0.5).add_to(&mut options, &mut faults);
        assert_eq!(options.otlp_protocol, OtlpProtocol::Grpc);
        assert!(faults.none().is_ok());
        let mut faults = Faults::default();
        section("http://file:4317", 1.5).add_to(&mut options, &mut faults);
        assert!(faults.to_string().contains("telemetry.sample_ratio"));
    }

    #[test]
    fn profiles_are_off_until_variable_or_file_switch_them_on() {
        assert!(!of(&[]).profiling);
        assert!(!of(&[("STOKER_PROFILING", "0")]).profiling);
        assert!(of(&[("STOKER_PROFILING", "1")]).profiling);
        let section = TelemetrySection {
            profiling: true,
            ..TelemetrySection::default()
        };
        let mut options = of(&[]);
        section.add_to(&mut options, &mut Faults::default());
        assert!(options.profiling);
    }
}
