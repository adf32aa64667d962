//! Logs on stderr and traces over OTLP.
//!
//! Where traces go is told by the usual variables (`OTEL_EXPORTER_OTLP_ENDPOINT`, `…_PROTOCOL`,
//! `OTEL_SERVICE_NAME`); without an endpoint nothing is exported, and spans still carry trace ids, so that
//! logs and answers name them. Telemetry never stops a program from starting.

use std::time::Duration;

use axum::extract::MatchedPath;
use axum::http::{Request, Response};
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{TraceContextExt, TracerProvider};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tower_http::classify::{ServerErrorsAsFailures, SharedClassifier};
use tower_http::trace::{DefaultOnFailure, DefaultOnRequest, MakeSpan, OnResponse, TraceLayer};
use tracing::{Span, field, info_span, warn};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

mod log_line;

const FLUSH_LIMIT: Duration = Duration::from_secs(5);
const EXPORT_LIMIT: Duration = Duration::from_secs(5);
/// The exporter's own traffic must not make spans.
const NOT_TRACED: &str = "info,hyper=off,hyper_util=off,h2=off,tonic=off,reqwest=off,tower=off,opentelemetry=off,sqlx=off,sea_orm=off";

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
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
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
            otlp_protocol: if protocol.as_deref() == Some("grpc") {
                OtlpProtocol::Grpc
            } else {
                OtlpProtocol::HttpBinary
            },
        }
    }
}

/// Keeps the exporter; flush it before the process ends.
pub struct Telemetry {
    provider: SdkTracerProvider,
}

/// Sets up logs and traces for the process. Call it once, inside the runtime (the gRPC exporter needs one).
pub fn init(options: &TelemetryOptions) -> Telemetry {
    let (provider, trouble) = provider(options);
    let filter = |text: &str| EnvFilter::try_new(text).unwrap_or_else(|_| EnvFilter::new("info"));
    let log_filter = filter(
        options
            .log_filter
            .as_deref()
            .unwrap_or("info,sqlx=warn,sea_orm=warn,sea_orm_migration=warn"),
    );
    let traces = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("stoker"))
        .with_filter(filter(NOT_TRACED));
    let log = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_span_events(FmtSpan::NONE);
    let log = if options.log_json {
        log.event_format(log_line::WithTraceId(tracing_subscriber::fmt::format().json()))
            .fmt_fields(tracing_subscriber::fmt::format::JsonFields::new())
            .with_filter(log_filter)
            .boxed()
    } else {
        log.event_format(log_line::WithTraceId(tracing_subscriber::fmt::format().compact()))
            .with_filter(log_filter)
            .boxed()
    };
    // A second call (tests in one process) keeps the first set-up.
    let _ = tracing_subscriber::registry().with(traces).with(log).try_init();
    if let Some(error) = trouble {
        warn!(%error, "traces are not exported: the OTLP exporter cannot be set up");
    }
    Telemetry { provider }
}

impl Telemetry {
    /// Sends what is left, for a few seconds at most.
    pub async fn flush(self) {
        let flushed = tokio::task::spawn_blocking(move || self.provider.shutdown_with_timeout(FLUSH_LIMIT));
        if let Ok(Err(error)) = flushed.await {
            warn!(%error, "the last spans may be lost");
        }
    }
}

fn provider(options: &TelemetryOptions) -> (SdkTracerProvider, Option<ExporterBuildError>) {
    let resource = Resource::builder()
        .with_service_name(options.service.clone())
        .with_attribute(opentelemetry::KeyValue::new(
            "service.version",
            env!("CARGO_PKG_VERSION"),
        ))
        .build();
    let builder = SdkTracerProvider::builder()
        .with_resource(resource)
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)));
    let Some(endpoint) = &options.otlp_endpoint else {
        return (builder.build(), None);
    };
    match exporter(endpoint, options.otlp_protocol) {
        Ok(exporter) => (builder.with_batch_exporter(exporter).build(), None),
        Err(error) => (builder.build(), Some(error)),
    }
}

fn exporter(endpoint: &str, protocol: OtlpProtocol) -> Result<SpanExporter, ExporterBuildError> {
    let endpoint = endpoint.trim_end_matches('/');
    match protocol {
        OtlpProtocol::Grpc => SpanExporter::builder()
            .with_tonic()
            .with_endpoint(endpoint)
            .with_timeout(EXPORT_LIMIT)
            .build(),
        OtlpProtocol::HttpBinary => SpanExporter::builder()
            .with_http()
            .with_endpoint(format!("{endpoint}/v1/traces"))
            .with_timeout(EXPORT_LIMIT)
            .build(),
    }
}

/// One server span per request, named by the route's template, a child of the caller's `traceparent`.
pub fn request_layer() -> TraceLayer<
    SharedClassifier<ServerErrorsAsFailures>,
    ServerSpan,
    DefaultOnRequest,
    RecordStatus,
    tower_http::trace::DefaultOnBodyChunk,
    tower_http::trace::DefaultOnEos,
    DefaultOnFailure,
> {
    TraceLayer::new_for_http()
        .make_span_with(ServerSpan)
        .on_request(DefaultOnRequest::new().level(tracing::Level::TRACE))
        .on_response(RecordStatus)
        .on_failure(DefaultOnFailure::new().level(tracing::Level::DEBUG))
}

#[derive(Clone, Copy, Debug)]
pub struct ServerSpan;

#[derive(Clone, Copy, Debug)]
pub struct RecordStatus;

impl<B> MakeSpan<B> for ServerSpan {
    fn make_span(&mut self, request: &Request<B>) -> Span {
        let route = request
            .extensions()
            .get::<MatchedPath>()
            .map_or("unmatched", MatchedPath::as_str);
        let span = info_span!(
            "request",
            otel.name = format!("{} {route}", request.method()),
            otel.kind = "server",
            http.request.method = %request.method(),
            http.route = route,
            http.response.status_code = field::Empty,
        );
        let caller = TraceContextPropagator::new()
            .extract_with_context(&opentelemetry::Context::new(), &Headers(request.headers()));
        if caller.span().span_context().is_valid() {
            // Fails only for a span that was entered already; this one was made a line ago.
            let _ = span.set_parent(caller);
        }
        span
    }
}

impl<B> OnResponse<B> for RecordStatus {
    fn on_response(self, response: &Response<B>, _took: Duration, span: &Span) {
        span.record("http.response.status_code", response.status().as_u16());
    }
}

struct Headers<'a>(&'a axum::http::HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(axum::http::HeaderName::as_str).collect()
    }
}
