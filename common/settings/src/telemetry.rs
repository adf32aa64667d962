//! `[telemetry]`: where logs and traces go. Both programs have this section. The usual variables (`OTEL_*`, `RUST_LOG`)
//! win over it. An invalid variable is ignored, because other programs read these variables too.

use process::telemetry::{OtlpProtocol, TelemetryOptions};

use crate::section::Section;

const OTLP_ENDPOINT: &str = "otlp_endpoint";
const OTLP_PROTOCOL: &str = "otlp_protocol";
const LOG: &str = "log";
const LOG_FORMAT: &str = "log_format";
const SAMPLE_RATIO: &str = "sample_ratio";
const PROFILING: &str = "profiling";

/// The options of the file, parsed.
#[derive(Default)]
struct FileOptions {
    otlp_endpoint: Option<String>,
    otlp_protocol: OtlpProtocol,
    log: Option<String>,
    log_json: bool,
    sample_ratio: Option<f64>,
    profiling: bool,
}

/// Reads the environment variables, and the section for the options that no variable sets.
pub fn read(section: &Section<'_>, service: &str) -> TelemetryOptions {
    let file = read_file(section);
    let options = TelemetryOptions::from_environment(service);
    show(&options, section);
    merged(options, file)
}

fn read_file(section: &Section<'_>) -> FileOptions {
    let protocol = section.text_or(OTLP_PROTOCOL, "http/protobuf");
    let format = section.text_or(LOG_FORMAT, "text");
    section.default(LOG, "info");
    section.default(SAMPLE_RATIO, 1.0);
    FileOptions {
        otlp_endpoint: section.text(OTLP_ENDPOINT),
        otlp_protocol: section
            .check(OTLP_PROTOCOL, protocol_named(&protocol))
            .unwrap_or_default(),
        log: section.text(LOG),
        log_json: section.check(LOG_FORMAT, is_json(&format)).unwrap_or_default(),
        sample_ratio: ratio(section),
        profiling: section.switch_or(PROFILING, false),
    }
}

fn ratio(section: &Section<'_>) -> Option<f64> {
    let ratio = section.number(SAMPLE_RATIO)?;
    let in_range = Some(ratio).filter(|ratio| (0.0..=1.0).contains(ratio));
    section.check(SAMPLE_RATIO, in_range.ok_or("must be a number from 0 to 1"))
}

fn merged(mut options: TelemetryOptions, file: FileOptions) -> TelemetryOptions {
    if options.otlp_endpoint.is_none() && file.otlp_endpoint.is_some() {
        options.otlp_endpoint = file.otlp_endpoint;
        options.otlp_protocol = file.otlp_protocol;
    }
    options.log_filter = options.log_filter.take().or(file.log);
    options.log_json |= file.log_json;
    options.sample_ratio = options.sample_ratio.or(file.sample_ratio);
    options.profiling |= file.profiling;
    options
}

/// Shows the values that come from variables.
fn show(options: &TelemetryOptions, section: &Section<'_>) {
    if let Some(endpoint) = &options.otlp_endpoint {
        let protocol = match options.otlp_protocol {
            OtlpProtocol::Grpc => "grpc",
            OtlpProtocol::HttpBinary => "http/protobuf",
        };
        let variables = "OTEL_EXPORTER_OTLP_*";
        section.shown_from_variable(OTLP_ENDPOINT, endpoint.as_str(), variables);
        section.shown_from_variable(OTLP_PROTOCOL, protocol, variables);
    }
    if let Some(filter) = &options.log_filter {
        section.shown_from_variable(LOG, filter.as_str(), "RUST_LOG");
    }
    if options.log_json {
        section.shown_from_variable(LOG_FORMAT, "json", "STOKER_LOG_FORMAT");
    }
    if let Some(ratio) = options.sample_ratio {
        section.shown_from_variable(SAMPLE_RATIO, ratio, "OTEL_TRACES_SAMPLER");
    }
    if options.profiling {
        section.shown_from_variable(PROFILING, true, "STOKER_PROFILING");
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

#[cfg(test)]
mod tests {
    use super::*;

    fn from_file() -> FileOptions {
        FileOptions {
            otlp_endpoint: Some("http://file:4317".to_owned()),
            otlp_protocol: OtlpProtocol::Grpc,
            sample_ratio: Some(0.5),
            profiling: true,
            ..FileOptions::default()
        }
    }

    #[test]
    fn the_file_sets_what_no_variable_sets() {
        let variables = TelemetryOptions {
            otlp_endpoint: Some("http://variable:4318".to_owned()),
            ..TelemetryOptions::default()
        };
        let options = merged(variables, from_file());
        assert_eq!(options.otlp_endpoint.as_deref(), Some("http://variable:4318"));
        let of_options = (options.otlp_protocol, options.sample_ratio, options.profiling);
        assert_eq!(of_options, (OtlpProtocol::HttpBinary, Some(0.5), true));
        let options = merged(TelemetryOptions::default(), from_file());
        assert_eq!(options.otlp_endpoint.as_deref(), Some("http://file:4317"));
        assert_eq!(options.otlp_protocol, OtlpProtocol::Grpc);
        assert!(!merged(TelemetryOptions::default(), FileOptions::default()).profiling);
    }
}
