//! `[telemetry]`: where logs and traces go. The usual `OTEL_*` variables win over the file.

use process::config::Faults;
use process::telemetry::{OtlpProtocol, TelemetryOptions};

use super::section::Section;

pub(super) fn read(service: &str, mut section: Section, faults: &mut Faults) -> TelemetryOptions {
    let mut options = TelemetryOptions::from_environment(service);
    let endpoint = section.text("otlp_endpoint", faults);
    let protocol = section.text("otlp_protocol", faults);
    let log = section.text("log", faults);
    let format = section.text("log_format", faults);
    let protocol_key = section.full("otlp_protocol");
    let format_key = section.full("log_format");
    section.end(faults);

    let protocol = protocol.and_then(|text| faults.check(&protocol_key, protocol_named(&text)));
    let json = format.and_then(|text| faults.check(&format_key, is_json(&text)));
    if options.otlp_endpoint.is_none() && endpoint.is_some() {
        options.otlp_endpoint = endpoint;
        options.otlp_protocol = protocol.unwrap_or_default();
    }
    options.log_filter = options.log_filter.or(log);
    options.log_json = options.log_json || json.unwrap_or(false);
    options
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
