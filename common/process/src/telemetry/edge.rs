//! What every listener does with a request: a request id, a span (child of the caller's `traceparent`) and metrics.

use std::time::Duration;

use axum::Router;
use axum::extract::MatchedPath;
use axum::http::{Request, Response, StatusCode};
use axum::middleware::{from_fn, from_fn_with_state};
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::TraceContextExt;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tower_http::trace::{MakeSpan, OnResponse, TraceLayer};
use tracing::{Span, field, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::request_id;
use crate::metrics::{Metrics, measure};

/// Adds request id, server span and metrics to all routes of one listener.
pub fn edge<S>(router: Router<S>, door: &'static str, metrics: &Metrics) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    let traced = TraceLayer::new_for_http()
        .make_span_with(ServerSpan)
        .on_request(())
        .on_response(RecordAnswer)
        .on_body_chunk(())
        .on_eos(())
        .on_failure(());
    router
        .layer(from_fn_with_state(metrics.requests().at(door), measure))
        .layer(traced)
        .layer(from_fn(request_id::give))
}

#[derive(Clone, Copy, Debug)]
struct ServerSpan;

#[derive(Clone, Copy, Debug)]
struct RecordAnswer;

impl<B> MakeSpan<B> for ServerSpan {
    fn make_span(&mut self, request: &Request<B>) -> Span {
        let route = request
            .extensions()
            .get::<MatchedPath>()
            .map_or("unmatched", MatchedPath::as_str);
        let header = |name: &str| {
            let value = request.headers().get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default()
        };
        let span = info_span!(
            "request",
            otel.name = format!("{} {route}", request.method()),
            otel.kind = "server",
            otel.status_code = field::Empty,
            http.request.method = %request.method(),
            // Recorded with the response; a field that is set twice appears twice.
            http.route = field::Empty,
            http.response.status_code = field::Empty,
            url.path = request.uri().path(),
            request.id = header("x-request-id"),
            error.type = field::Empty,
            stoker.image = field::Empty,
            stoker.digest = field::Empty,
            stoker.result = field::Empty,
            stoker.bytes = field::Empty,
        );
        let caller = TraceContextPropagator::new()
            .extract_with_context(&opentelemetry::Context::new(), &Headers(request.headers()));
        if caller.span().span_context().is_valid() {
            // Fails only for an entered span; this one is new.
            let _ = span.set_parent(caller);
        }
        span
    }
}

impl<B> OnResponse<B> for RecordAnswer {
    fn on_response(self, response: &Response<B>, _took: Duration, span: &Span) {
        let status = response.status();
        // The exporter writes unsigned numbers as text.
        span.record("http.response.status_code", i64::from(status.as_u16()));
        if status.is_server_error() {
            span.record("otel.status_code", "ERROR")
                .record("error.type", error_type(status));
        }
    }
}

/// Returns `error.type` of a server span: the status, as the conventions say.
fn error_type(status: StatusCode) -> &'static str {
    match status.as_u16() {
        500 => "500",
        501 => "501",
        502 => "502",
        503 => "503",
        504 => "504",
        _ => "5xx",
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
