//! One request to another peer's `share`. Its span ends when the body has been read. A header carries the
//! trace.
//!
//! **Invariant:** no span contains a query string.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::Stream;
use http::{HeaderMap, Method, StatusCode};
use oci::Location;
use reqwest::{RequestBuilder, Response};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tracing::{Span, field, info_span};
use wire::TraceContext;
use wire::between_peers::LOCATION_HEADER;

use super::error::ShareError;
use super::unreachable::UnreachablePeers;
use crate::spans::{mark_failed, signed};

/// Limit for the headers of the response, including the time to connect.
pub(super) const HEADERS_LIMIT: Duration = Duration::from_secs(5);
/// The same for a response that needs a registry.
const RELAY_LIMIT: Duration = Duration::from_secs(60);
const REFUSAL_LENGTH: usize = 500;
/// Limit between two reads of the body.
pub(super) const STALL_LIMIT: Duration = Duration::from_secs(15);

/// A request before it is sent.
pub(super) struct Call {
    pub(super) request: RequestBuilder,
    span: Span,
    limit: Duration,
    peer: CallTarget,
    /// The peer answers from its store, so its response begins at once.
    quick: bool,
}

/// The peer that gets the request, and what limits requests to it.
pub(super) struct CallTarget {
    pub(super) share_url: String,
    pub(super) unreachable: UnreachablePeers,
    pub(super) permits: Arc<Semaphore>,
}

/// A response whose headers were read.
pub(super) struct ShareResponse {
    response: Response,
    span: Span,
    read: u64,
}

impl Call {
    /// `template` is the path as the other peer's routes declare it.
    pub(super) fn new(
        method: &Method,
        request: RequestBuilder,
        peer: CallTarget,
        template: &'static str,
    ) -> Self {
        let span = span_of(method, &peer.share_url, template);
        let request = match TraceContext::of(&span) {
            Some(context) => request.header("traceparent", context.as_str()),
            None => request,
        };
        let limit = HEADERS_LIMIT;
        Self {
            request,
            span,
            limit,
            peer,
            quick: true,
        }
    }

    /// Sends the request without a span of its own, for very many equal ones. The span of its source covers all.
    pub(super) fn untraced(request: RequestBuilder, peer: CallTarget) -> Self {
        Self {
            request,
            span: Span::none(),
            limit: HEADERS_LIMIT,
            peer,
            quick: false,
        }
    }

    /// Allows the time that a seed may wait for the registry, which may take `header_wait` for the headers.
    #[must_use]
    pub(super) fn patient(self, header_wait: Duration) -> Self {
        Self {
            limit: RELAY_LIMIT.max(header_wait * 2),
            quick: false,
            ..self
        }
    }

    #[must_use]
    pub(super) fn with(self, change: impl FnOnce(RequestBuilder) -> RequestBuilder) -> Self {
        Self {
            request: change(self.request),
            ..self
        }
    }

    /// Names the location of the object.
    #[must_use]
    pub(super) fn at(self, location: &Location) -> Self {
        self.with(|request| request.header(LOCATION_HEADER, location.to_string()))
    }

    /// Sends the request. Returns the response if it is a success.
    pub(super) async fn send(self) -> Result<ShareResponse, ShareError> {
        let CallTarget {
            share_url,
            unreachable,
            permits,
        } = self.peer;
        // Held until the response begins. Requests that wait for more than a store take no permit: they would
        // delay the others.
        let _permit = if self.quick {
            permits.acquire().await.ok()
        } else {
            None
        };
        let began = Instant::now();
        let answered = if unreachable.is_unreachable(&share_url, began) {
            Err(ShareError::Unreachable(
                "it did not answer a moment ago".to_owned(),
            ))
        } else {
            response_to(self.request, self.limit, &self.span).await
        };
        match &answered {
            Err(ShareError::Timeout(_) | ShareError::Unreachable(_)) => {
                unreachable.no_answer(&share_url, began, Instant::now());
            }
            _ => unreachable.answered(&share_url, Instant::now()),
        }
        match answered {
            Ok(response) => Ok(ShareResponse {
                response,
                span: self.span,
                read: 0,
            }),
            Err(error) => {
                // "Not held" is an answer, not a fault.
                if error != ShareError::NotHeld {
                    mark_failed(&self.span, error.word());
                }
                Err(error)
            }
        }
    }
}

async fn response_to(request: RequestBuilder, limit: Duration, span: &Span) -> Result<Response, ShareError> {
    let response = timeout(limit, request.send())
        .await
        .map_err(|_| ShareError::Timeout(limit))?
        .map_err(|error| ShareError::Unreachable(causes(&error)))?;
    let status = response.status();
    span.record("http.response.status_code", i64::from(status.as_u16()));
    match status {
        status if status.is_success() => Ok(response),
        StatusCode::NOT_FOUND => Err(ShareError::NotHeld),
        StatusCode::UNAUTHORIZED => Err(ShareError::Refused),
        StatusCode::FORBIDDEN => Err(ShareError::Denied(refusal_text(response).await)),
        status => Err(ShareError::UnexpectedStatus(status)),
    }
}

/// Reads the text of a refusal, within limits.
async fn refusal_text(mut response: Response) -> String {
    let first = timeout(HEADERS_LIMIT, response.chunk()).await;
    let bytes = first.ok().and_then(Result::ok).flatten().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    text.chars()
        .filter(|letter| !letter.is_control())
        .take(REFUSAL_LENGTH)
        .collect()
}

impl ShareResponse {
    pub(super) fn status(&self) -> StatusCode {
        self.response.status()
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    pub(super) fn content_length(&self) -> Option<u64> {
        self.response.content_length()
    }

    /// Reads the whole body. Fails when it is longer than `at_most`.
    pub(super) async fn gather(self, at_most: u64) -> Result<Vec<u8>, ShareError> {
        let expected = self.content_length().unwrap_or_default().min(at_most);
        let mut body = std::pin::pin!(self.body());
        let mut all = Vec::with_capacity(usize::try_from(expected).unwrap_or_default());
        while let Some(bytes) = body.next().await {
            all.extend_from_slice(&bytes?);
            if all.len() as u64 > at_most {
                return Err(ShareError::BadResponse("the body is too long"));
            }
        }
        Ok(all)
    }

    /// The body as a stream. Fails when the peer stalls.
    pub(super) fn body(self) -> impl Stream<Item = Result<Bytes, ShareError>> + Send {
        futures_util::stream::unfold(Some(self), |answer| async {
            let mut answer = answer?;
            match answer.next_bytes().await {
                Ok(Some(bytes)) => Some((Ok(bytes), Some(answer))),
                Ok(None) => None,
                Err(error) => {
                    mark_failed(&answer.span, error.word());
                    Some((Err(error), None))
                }
            }
        })
    }

    async fn next_bytes(&mut self) -> Result<Option<Bytes>, ShareError> {
        let bytes_read = timeout(STALL_LIMIT, self.response.chunk())
            .await
            .map_err(|_| ShareError::Timeout(STALL_LIMIT))?
            .map_err(|error| ShareError::Broke(causes(&error)))?;
        self.read += bytes_read.as_ref().map_or(0, |bytes| bytes.len() as u64);
        Ok(bytes_read)
    }
}

impl Drop for ShareResponse {
    fn drop(&mut self) {
        self.span.record("http.response.body.size", signed(self.read));
    }
}

fn span_of(method: &Method, share_url: &str, template: &'static str) -> Span {
    let url = url::Url::parse(share_url).ok();
    let host = url.as_ref().and_then(|url| url.host_str()).unwrap_or_default();
    let port = url.as_ref().and_then(url::Url::port_or_known_default);
    info_span!(
        "share.request",
        otel.name = format!("{method} {template}"),
        otel.kind = "client",
        otel.status_code = field::Empty,
        http.request.method = method.as_str(),
        http.response.body.size = field::Empty,
        http.response.status_code = field::Empty,
        server.address = host,
        server.port = port.map(i64::from),
        url.template = template,
        error.type = field::Empty,
    )
}

/// Returns the innermost cause. The URL in front of it is known.
fn causes(error: &reqwest::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost.to_string()
}
