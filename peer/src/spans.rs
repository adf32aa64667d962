//! What spans are told, said one way.

use tracing::Span;
use wire::TraceContext;

/// The exporter knows signed numbers only, and writes others as text.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Whether the trace is kept: a link to one that is not leads nowhere.
pub(crate) fn is_sampled(trace: &TraceContext) -> bool {
    let flags = trace.as_str().rsplit('-').next().unwrap_or_default();
    u8::from_str_radix(flags, 16).is_ok_and(|flags| flags & 1 == 1)
}

/// Says on the span what went wrong, in one of a few words. The span has to have the two fields.
pub(crate) fn mark_failed(span: &Span, error_type: &str) {
    span.record("error.type", error_type)
        .record("otel.status_code", "ERROR");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_trace_that_is_kept_is_sampled() {
        let with_flags = |flags: &str| {
            let text = format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}");
            TraceContext::parse(&text).expect("a context")
        };
        assert!(is_sampled(&with_flags("01")));
        assert!(!is_sampled(&with_flags("00")));
    }
}
