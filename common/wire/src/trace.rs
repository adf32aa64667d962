//! The trace context as text (W3C `traceparent`), to be stored and sent with work.

use std::collections::HashMap;

use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::TraceContextExt;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use serde::{Deserialize, Serialize};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

const HEADER: &str = "traceparent";

/// A `traceparent` value: `00-<trace id>-<span id>-<flags>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TraceContext(String);

impl TraceContext {
    /// Parses a `traceparent` header; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let context = Self(text.to_owned());
        context.extract().has_active_span().then_some(context)
    }

    /// Returns the context of the current span; `None` if nothing is traced.
    pub fn current() -> Option<Self> {
        Self::of(&Span::current())
    }

    /// Returns the context of `span`, for the code that continues its work.
    pub fn of(span: &Span) -> Option<Self> {
        let mut headers = HashMap::new();
        TraceContextPropagator::new().inject_context(&span.context(), &mut headers);
        headers.remove(HEADER).map(Self)
    }

    /// Makes `span` a child of this context. Call it before the span is entered.
    pub fn adopt(&self, span: &Span) {
        // Fails only for a span that has begun; it then keeps its parent.
        let _ = span.set_parent(self.extract());
    }

    /// Links `span` to this context without making it a child.
    pub fn link_to(&self, span: &Span) {
        span.add_link(self.extract().span().span_context().clone());
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the trace id, 32 hexadecimal digits.
    pub fn trace_id(&self) -> &str {
        self.0.split('-').nth(1).unwrap_or_default()
    }

    /// Whether its spans are recorded; otherwise a link to it is useless.
    pub fn is_sampled(&self) -> bool {
        self.extract().span().span_context().is_sampled()
    }

    fn extract(&self) -> opentelemetry::Context {
        let headers = HashMap::from([(HEADER.to_owned(), self.0.clone())]);
        TraceContextPropagator::new().extract_with_context(&opentelemetry::Context::new(), &headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_valid_traceparent_is_accepted() {
        let given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let context = TraceContext::parse(given).expect("a context");
        assert_eq!(context.trace_id(), "0af7651916cd43dd8448eb211c80319c");
        assert!(context.is_sampled());
        let unsampled = given.replace("-01", "-00");
        assert!(!TraceContext::parse(&unsampled).expect("a context").is_sampled());
        assert_eq!(TraceContext::parse("00-zz-b7ad6b7169203331-01"), None);
        assert_eq!(TraceContext::parse(""), None);
    }
}
