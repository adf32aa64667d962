//! Logs on stderr and traces over OTLP.
//!
//! **Invariant:** telemetry never prevents a program from starting and never makes it wait: spans that cannot be sent in
//! time are dropped, counted and logged once a minute. Without an endpoint nothing is exported, but spans still have
//! trace ids for logs and responses.

mod edge;
mod log_line;
mod losses;
mod options;
mod request_id;
mod sampling;

pub use crate::levels::{BadFilter, Levels};
pub use crate::metrics::RouteTemplate;
pub use edge::edge;
pub use options::{OtlpProtocol, TelemetryOptions};

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SdkTracerProvider};
use tracing::warn;
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::fmt::format::{FmtSpan, JsonFields};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use self::log_line::WithTrace;
use self::losses::{BoundedProcessor, CountingExporter, Losses};
use self::sampling::Sampling;
use crate::Vitals;
use crate::metrics::register_process;

const FLUSH_LIMIT: Duration = Duration::from_secs(5);
const EXPORT_LIMIT: Duration = Duration::from_secs(5);
/// The exporter's own traffic must not create spans.
const NOT_TRACED: &str = "info,hyper=off,hyper_util=off,h2=off,tonic=off,reqwest=off,tower=off,opentelemetry=off,opentelemetry_sdk=off,opentelemetry-otlp=off,sqlx=off,sea_orm=off";

/// The exporter and log levels; flush it before the process ends.
pub struct Telemetry {
    provider: SdkTracerProvider,
    losses: Losses,
    levels: Levels,
    profiling: bool,
}

/// Sets up logs and traces for the process. Call it once, inside the runtime (the gRPC exporter needs one).
pub fn init(options: &TelemetryOptions) -> Telemetry {
    let losses = Losses::default();
    let (provider, trouble) = provider(options, &losses);
    let traces = tracing_opentelemetry::layer()
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_context_activation(false)
        .with_tracer(provider.tracer("stoker"))
        .with_filter(EnvFilter::new(NOT_TRACED));
    let (levels, log_filter) = crate::levels::reloadable(options.log_filter.as_deref());
    let log = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        // No colours: programs read the lines too.
        .with_ansi(false)
        .with_span_events(FmtSpan::NONE);
    let log = if options.log_json {
        log.event_format(WithTrace(tracing_subscriber::fmt::format().json()))
            .fmt_fields(JsonFields::new())
            .with_filter(log_filter)
            .boxed()
    } else {
        log.event_format(WithTrace(tracing_subscriber::fmt::format().compact()))
            .with_filter(log_filter)
            .boxed()
    };
    // A second call (tests in one process) keeps the first setup.
    let _ = tracing_subscriber::registry().with(log).with(traces).try_init();
    if let Some(error) = trouble {
        warn!(%error, "traces not exported, OTLP exporter setup failed");
    }
    Telemetry {
        provider,
        losses,
        levels,
        profiling: options.profiling,
    }
}

impl Telemetry {
    /// Returns the handles for the parts of the program, and starts the metrics of spans and of the process.
    pub fn vitals(&self) -> Vitals {
        let vitals = Vitals {
            levels: self.levels.clone(),
            profiling: self.profiling,
            ..Vitals::default()
        };
        self.losses.register(&vitals.metrics);
        let running = &vitals.running;
        running.spawn(losses::tell(self.losses.clone(), running.clone()));
        register_process(&vitals.metrics, running);
        vitals
    }

    /// Sends the remaining spans, for at most a few seconds.
    pub async fn flush(self) {
        let provider = self.provider;
        let flushed = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(FLUSH_LIMIT));
        if let Ok(Err(error)) = flushed.await {
            warn!(%error, "last spans not flushed");
        }
    }
}

fn provider(options: &TelemetryOptions, losses: &Losses) -> (SdkTracerProvider, Option<ExporterBuildError>) {
    let resource = Resource::builder()
        .with_service_name(options.service.clone())
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new("service.namespace", "stoker"))
        .build();
    let builder = SdkTracerProvider::builder()
        .with_resource(resource)
        .with_sampler(Sampling::of(options));
    let Some(endpoint) = &options.otlp_endpoint else {
        return (builder.build(), None);
    };
    match exporter(endpoint, options.otlp_protocol) {
        Ok(exporter) => {
            let batches =
                BatchSpanProcessor::builder(CountingExporter::new(exporter, losses.clone())).build();
            let bounded = BoundedProcessor::new(batches, losses.clone());
            (builder.with_span_processor(bounded).build(), None)
        }
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
