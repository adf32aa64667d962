//! An answer on its way to us: its span lives as long as its body is read, and each byte is counted.
//!
//! **Invariant:** the size that the span says is what was really read, whether the body ended or was dropped.

use bytes::Bytes;
use futures_util::stream;
use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};
use prometheus_client::metrics::counter::Counter;
use reqwest::{Body, Response};
use tracing::Span;

use super::connection_slots::ConnectionSlot;
use crate::RegistryError;

/// A registry's answer, headers read.
pub(super) struct RegistryResponse {
    response: Response,
    whose: Responder,
    reading: ReceivedBytes,
    _turn: ConnectionSlot,
}

/// Who gave an answer.
#[derive(Debug)]
pub(super) struct Responder {
    /// The host, if it does not speak for the registry.
    pub(super) elsewhere: Option<String>,
    /// By the address that the connection went to.
    pub(super) is_inside: bool,
}

/// On a [`Response`] that came from an address inside: what it names may be inside too.
#[derive(Debug, Clone, Copy)]
pub struct FromInside;

/// On a [`Response`] that another host gave, to which the registry had led: it is not the registry's word.
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
            _turn: slot,
        }
    }

    pub(super) fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// The host that gave it, if that does not speak for the registry.
    pub(super) fn elsewhere(&self) -> Option<&str> {
        self.whose.elsewhere.as_deref()
    }

    pub(super) fn is_from_inside(&self) -> bool {
        self.whose.is_inside
    }

    pub(super) fn is_redirect(&self) -> bool {
        matches!(self.status().as_u16(), 301 | 302 | 303 | 307 | 308)
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

    /// The body cannot be used, or not to its end.
    pub(super) fn failed(&self, error: &RegistryError) {
        mark_failed(&self.reading.span, error.error_type());
    }

    /// For callers who read it themselves; it is counted all the same. Of a refusal by another host than the registry's
    /// own they get the status and `Retry-After`, and no words.
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

/// The exporter knows signed numbers only, and writes others as text.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Says on the span what went wrong, in a word.
pub(super) fn mark_failed(span: &Span, error_type: &str) {
    span.record("error.type", error_type);
    span.record("otel.status_code", "ERROR");
}
