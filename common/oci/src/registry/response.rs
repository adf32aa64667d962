//! A response whose span lasts until its body is read, and whose bytes are counted.
//!
//! **Invariant:** the body size in the span is the number of bytes read, whether the body ended or was dropped.

use bytes::Bytes;
use futures_util::stream;
use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};
use prometheus_client::metrics::counter::Counter;
use reqwest::{Body, Response};
use tracing::Span;

use super::connection_slots::ConnectionSlot;
use crate::{ErrorResponse, RegistryError};

/// A registry's response after its headers.
pub(super) struct RegistryResponse {
    response: Response,
    whose: Responder,
    reading: ReceivedBytes,
    pub(super) slot: ConnectionSlot,
    /// The text of a refusal, once it was read.
    pub(super) refusal: Option<ErrorResponse>,
    /// How many requests at once the registry allows, if it refused by count.
    pub(super) allows: Option<u32>,
}

/// Who sent a response.
#[derive(Debug)]
pub(super) struct Responder {
    /// The host, if its responses are not the registry's own.
    pub(super) elsewhere: Option<String>,
    /// Whether the connection went to a private or special address.
    pub(super) is_inside: bool,
}

/// Marks a [`Response`] from a private or special address: what it names may be private too.
#[derive(Debug, Clone, Copy)]
pub struct FromInside;

/// Marks a [`Response`] of another host that the registry redirected to: it is not the registry's own answer.
#[derive(Debug, Clone, Copy)]
pub struct FromElsewhere;

struct ReceivedBytes {
    span: Span,
    bytes: u64,
    counted: Counter,
}

impl RegistryResponse {
    pub(super) fn new(
        response: Response,
        whose: Responder,
        slot: ConnectionSlot,
        span: Span,
        counted: Counter,
    ) -> Self {
        let reading = ReceivedBytes {
            span,
            bytes: 0,
            counted,
        };
        Self {
            response,
            whose,
            reading,
            slot,
            refusal: None,
            allows: None,
        }
    }

    pub(super) fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// Returns the host, if the response is not the registry's own.
    pub(super) fn elsewhere(&self) -> Option<&str> {
        self.whose.elsewhere.as_deref()
    }

    pub(super) fn is_from_inside(&self) -> bool {
        self.whose.is_inside
    }

    pub(super) fn is_redirect(&self) -> bool {
        is_redirect(self.status())
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    pub(super) async fn chunk(&mut self) -> reqwest::Result<Option<Bytes>> {
        let chunk = self.response.chunk().await;
        if let Ok(Some(bytes)) = &chunk {
            self.reading.took(bytes);
        }
        chunk
    }

    /// Marks the span: the body is unusable or incomplete.
    pub(super) fn failed(&self, error: &RegistryError) {
        mark_failed(&self.reading.span, error.error_type());
    }

    /// Hands the response to the caller; its bytes are still counted. If another host than the registry refused, only
    /// the status and `Retry-After` are passed on.
    pub(super) fn into_response(self) -> Response {
        let mut head = http::Response::new(());
        *head.status_mut() = self.status();
        *head.version_mut() = self.response.version();
        if self.is_from_inside() {
            head.extensions_mut().insert(FromInside);
        }
        if self.elsewhere().is_some() {
            head.extensions_mut().insert(FromElsewhere);
        }
        if self.elsewhere().is_some() && !self.status().is_success() {
            if let Some(wait) = self.headers().get(RETRY_AFTER) {
                head.headers_mut().insert(RETRY_AFTER, wait.clone());
            }
            return Response::from(head.map(|()| Body::default()));
        }
        head.headers_mut().clone_from(self.headers());
        let body = stream::try_unfold(self, |mut answer| async {
            Ok::<_, reqwest::Error>(answer.chunk().await?.map(|bytes| (bytes, answer)))
        });
        Response::from(head.map(|()| Body::wrap_stream(body)))
    }
}

impl ReceivedBytes {
    fn took(&mut self, bytes: &Bytes) {
        let size = bytes.len() as u64;
        self.bytes += size;
        self.counted.inc_by(size);
    }
}

impl Drop for ReceivedBytes {
    fn drop(&mut self) {
        self.span.record("http.response.body.size", signed(self.bytes));
    }
}

/// Whether a client follows this status.
pub(super) fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// Converts to a signed number: the exporter writes unsigned ones as text.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Records the kind of error on the span.
pub(super) fn mark_failed(span: &Span, error_type: &str) {
    span.record("error.type", error_type);
    span.record("otel.status_code", "ERROR");
}
