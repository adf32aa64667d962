//! Helpers for the fields of spans.

use tracing::Span;

/// Converts a number for a span: the exporter writes unsigned numbers as text.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Marks a span as failed with an error type. The span must have both fields.
pub(crate) fn mark_failed(span: &Span, error_type: &str) {
    span.record("error.type", error_type)
        .record("otel.status_code", "ERROR");
}
