//! Rate, errors and duration of every route, by its template, never by the path that a client sent.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use opentelemetry::trace::TraceContextExt as _;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::{Counting, SECONDS, TraceLabel, exemplar};

/// The template of a route that only the handler knows. The handler puts it into the response's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteTemplate(pub &'static str);

impl RouteTemplate {
    fn rename(self, span: &Span, method: &str) {
        // The field `otel.name` has no effect on a span that has begun.
        span.context().span().update_name(format!("{method} {}", self.0));
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    stoker_door: &'static str,
    http_request_method: &'static str,
    http_route: String,
    http_response_status_code: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ListenerLabels {
    stoker_door: &'static str,
}

type Durations =
    Family<RequestLabels, HistogramWithExemplars<TraceLabel>, fn() -> HistogramWithExemplars<TraceLabel>>;

#[derive(Clone)]
pub(crate) struct Requests {
    durations: Durations,
    active: Family<ListenerLabels, Gauge>,
}

impl Default for Requests {
    fn default() -> Self {
        Self {
            durations: Family::new_with_constructor(|| HistogramWithExemplars::new(SECONDS.into_iter())),
            active: Family::default(),
        }
    }
}

impl Requests {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "http_server_request_duration_seconds",
            "Time from a request's head to the head of its response",
            self.durations.clone(),
        );
        registry.register(
            "http_server_active_requests",
            "Requests whose response has not begun",
            self.active.clone(),
        );
    }

    /// Returns the metrics of one listener and creates its gauge.
    pub(crate) fn at(&self, door: &'static str) -> ListenerMetrics {
        let active = self
            .active
            .get_or_create_owned(&ListenerLabels { stoker_door: door });
        ListenerMetrics {
            door,
            durations: self.durations.clone(),
            active,
        }
    }
}

/// The metrics of one listener, updated by [`measure`].
#[derive(Clone)]
pub(crate) struct ListenerMetrics {
    door: &'static str,
    durations: Durations,
    active: Gauge,
}

pub(crate) async fn measure(State(door): State<ListenerMetrics>, request: Request, next: Next) -> Response {
    let method = word_of(request.method());
    let matched = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "unmatched".to_owned(), |path| path.as_str().to_owned());
    let begun = Instant::now();
    let active = Counting::in_gauge(&door.active);
    let response = next.run(request).await;
    drop(active);
    let told = response.extensions().get::<RouteTemplate>();
    if let Some(template) = told {
        template.rename(&Span::current(), method);
    }
    let route = told.map_or(matched, |template| template.0.to_owned());
    Span::current().record("http.route", route.as_str());
    let labels = RequestLabels {
        stoker_door: door.door,
        http_request_method: method,
        http_route: route,
        http_response_status_code: response.status().as_u16(),
    };
    door.durations
        .get_or_create(&labels)
        .observe(begun.elapsed().as_secs_f64(), exemplar(), None);
    response
}

/// Returns the method's name, bounded because clients can invent methods.
fn word_of(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::PATCH => "PATCH",
        Method::OPTIONS => "OPTIONS",
        _ => "_OTHER",
    }
}
