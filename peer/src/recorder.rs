//! Test support: records every span of the test process and finds them by trace.

use std::sync::{Arc, OnceLock};

use opentelemetry::trace::{SpanId, TraceContextExt as _, TraceId, TracerProvider as _};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use parking_lot::Mutex;
use tracing::{Span, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use wire::TraceContext;

use crate::fetch::tests::support::LIMIT;

#[derive(Debug, Clone, Default)]
struct Recorder(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Recorder {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().extend(batch);
        Ok(())
    }
}

/// One for the whole process: a subscriber of one thread would miss callsites that other tests have used
/// before.
fn recorder() -> &'static Recorder {
    static RECORDER: OnceLock<Recorder> = OnceLock::new();
    RECORDER.get_or_init(|| {
        let recorder = Recorder::default();
        let provider = SdkTracerProvider::builder()
            .with_simple_exporter(recorder.clone())
            .build();
        let layer = tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("test"))
            .with_filter(LevelFilter::INFO);
        tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer))
            .expect("the only subscriber");
        recorder
    })
}

/// A trace of one test.
pub(crate) struct Trace {
    root: Span,
    id: TraceId,
    root_id: SpanId,
}

impl Trace {
    pub(crate) fn begin() -> Self {
        recorder();
        let root = info_span!(parent: None, "test");
        let context = root.context();
        let span = context.span();
        let context = span.span_context();
        Self {
            id: context.trace_id(),
            root_id: context.span_id(),
            root,
        }
    }

    /// The context for the code under test.
    pub(crate) fn context(&self) -> TraceContext {
        TraceContext::of(&self.root).expect("traced")
    }

    pub(crate) fn id(&self) -> TraceId {
        self.id
    }

    pub(crate) fn root_id(&self) -> SpanId {
        self.root_id
    }

    /// All spans that have ended.
    pub(crate) fn spans(&self) -> Vec<SpanData> {
        let all = recorder().0.lock();
        let ours = all.iter().filter(|span| span.span_context.trace_id() == self.id);
        ours.cloned().collect()
    }

    /// Waits for `how_many` spans of this name.
    pub(crate) async fn named(&self, name: &str, how_many: usize) -> Vec<SpanData> {
        let waiting = async {
            loop {
                let found: Vec<SpanData> = self
                    .spans()
                    .into_iter()
                    .filter(|span| span.name == name)
                    .collect();
                if found.len() >= how_many {
                    return found;
                }
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(LIMIT, waiting).await.unwrap_or_else(|_| {
            let names: Vec<String> = self.spans().iter().map(|span| span.name.to_string()).collect();
            panic!("never {how_many} of {name} among {names:?}")
        })
    }

    /// Waits for the only span of this name.
    pub(crate) async fn the(&self, name: &str) -> SpanData {
        let mut found = self.named(name, 1).await;
        assert_eq!(found.len(), 1, "more than one {name}");
        found.remove(0)
    }
}

/// The attribute as text.
pub(crate) fn attribute(span: &SpanData, key: &str) -> Option<String> {
    let found = span.attributes.iter().find(|one| one.key.as_str() == key)?;
    // Numbers must not be sent as text: they could not be searched as numbers.
    let is_text = matches!(found.value, opentelemetry::Value::String(_));
    let is_number = found.value.as_str().parse::<i64>().is_ok();
    assert!(
        !(is_text && is_number) || key == "error.type",
        "{key} is a number in quotes"
    );
    Some(found.value.to_string())
}

/// The spans that this span links to.
pub(crate) fn links(span: &SpanData) -> Vec<SpanId> {
    let links = span.links.iter();
    links.map(|link| link.span_context.span_id()).collect()
}

pub(crate) fn id_of(span: &SpanData) -> SpanId {
    span.span_context.span_id()
}
