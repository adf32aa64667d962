//! Spans that belong to the trace of a preheat.

use wire::TraceContext;

/// A span that belongs to the preheat's own trace.
pub(crate) fn adopted(span: tracing::Span, trace: Option<&str>) -> tracing::Span {
    if let Some(trace) = trace.and_then(TraceContext::parse) {
        trace.adopt(&span);
    }
    span
}
