//! What spans are told, said one way.

use tracing::Span;

/// The exporter knows signed numbers only, and writes others as text.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Says on the span what went wrong, in one of a few words. The span has to have the two fields.
pub(crate) fn mark_failed(span: &Span, error_type: &str) {
    span.record("error.type", error_type)
        .record("otel.status_code", "ERROR");
}
