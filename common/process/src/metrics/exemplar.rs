//! Exemplars: a trace that shows what a bucket of a histogram is made of.

use opentelemetry::trace::TraceContextExt;
use prometheus_client::encoding::EncodeLabelSet;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The one label of our exemplars.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct TraceLabel {
    pub trace_id: String,
}

/// The trace of the span that this code runs in, if it is recorded: a trace nobody kept shows nothing.
pub fn exemplar() -> Option<TraceLabel> {
    let context = Span::current().context();
    let span = context.span();
    let context = span.span_context();
    context.is_sampled().then(|| TraceLabel {
        trace_id: context.trace_id().to_string(),
    })
}
