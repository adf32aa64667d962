//! Exemplars: links from a histogram bucket to an example trace.

use opentelemetry::trace::TraceContextExt;
use prometheus_client::encoding::EncodeLabelSet;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The label of an exemplar.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct TraceLabel {
    pub trace_id: String,
}

/// Returns the trace of the current span, if it is recorded.
pub fn exemplar() -> Option<TraceLabel> {
    let context = Span::current().context();
    let span = context.span();
    let context = span.span_context();
    context.is_sampled().then(|| TraceLabel {
        trace_id: context.trace_id().to_string(),
    })
}
