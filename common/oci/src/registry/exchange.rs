//! Sends one request: connection slot, span, time limit, and the error that a refusal means.
//!
//! **Invariant:** every request on behalf of a registry goes through [`Registry::send_once`], which alone decides
//! whether a response is the registry's own. Text of other hosts never appears in an error. Spans and metrics contain
//! hosts and path templates, but no variable part of a path, query or credential.

use std::time::Duration;

use bytes::BytesMut;
use http::StatusCode;
use reqwest::Response;
use tokio::time::{Instant, timeout};
use tracing::{Instrument as _, Span, field, info_span};
use url::Url;

use super::client::{Registry, RegistryInner};
use super::request::{REDIRECTED, Request};
use super::response::{RegistryResponse, Responder, mark_failed};
use super::retry_after::retry_after;
use crate::challenge::is_of_harbor;
use crate::clients::DialMode;
use crate::connect_fault::{ConnectFault, among_causes};
use crate::dial::{NotAllowed, authority, is_inside};
use crate::{ErrorResponse, RegistryError, RequestedObject};

/// The bytes of a refusal's body that are read for its error text.
const REFUSAL_BYTES: usize = 8 * 1024;
const REFUSAL_WAIT: Duration = Duration::from_secs(5);

impl Registry {
    /// Sends one request without redirects, in a span that ends with the response's body.
    pub(super) async fn send_once(
        &self,
        request: &Request,
        template: &'static str,
        url: &Url,
        (way, prepared): (DialMode, reqwest::Request),
    ) -> Result<RegistryResponse, RegistryError> {
        let mut slot = self.slot(request).await?;
        let span = span_of(request, template, url);
        let began = Instant::now();
        let result = self.response(request, template, url, (way, prepared));
        let result = result.instrument(span.clone()).await;
        let status = result.as_ref().ok().map(|response| response.status().as_u16());
        let host = url.host_str().unwrap_or_default();
        let metrics = &self.inner.metrics;
        metrics.answered(host, &request.method, request.kind, status, began.elapsed());
        match result {
            Ok(response) => {
                record_status(&span, response.status());
                self.look_for_harbor(url, &response);
                slot.answered(response.status());
                let whose = self.whose(request, url, &response);
                Ok(RegistryResponse::new(
                    response,
                    whose,
                    slot,
                    span,
                    metrics.bytes_from(host),
                ))
            }
            Err(error) => {
                mark_failed(&span, error.error_type());
                Err(error)
            }
        }
    }

    fn whose(&self, request: &Request, url: &Url, response: &Response) -> Responder {
        let RegistryInner { base, dial, .. } = &*self.inner;
        let is_own = self.is_own(url);
        // A token server's response counts as the registry's own on the same host, or if the configuration lists it.
        let speaks_for_it = request.kind == "token" && (url.host() == base.host() || dial.lists(url));
        let is_inside = response
            .remote_addr()
            .is_some_and(|address| is_inside(address.ip()));
        Responder {
            elsewhere: (!is_own && !speaks_for_it).then(|| authority(url)),
            is_inside,
        }
    }

    /// Whether a response may name a private address: if the registry is configured or private itself.
    pub(super) fn may_lead_inside(&self, is_from_inside: bool) -> bool {
        is_from_inside || self.inner.dial.lists(&self.inner.base)
    }

    /// Notes a Harbor, from responses of the registry itself only.
    fn look_for_harbor(&self, url: &Url, response: &Response) {
        if self.is_own(url)
            && response.status() == StatusCode::UNAUTHORIZED
            && is_of_harbor(response.headers())
        {
            self.inner.harbors.add(self.name());
        }
    }

    async fn response(
        &self,
        request: &Request,
        template: &'static str,
        url: &Url,
        (way, prepared): (DialMode, reqwest::Request),
    ) -> Result<Response, RegistryError> {
        let limit = request.header_wait.unwrap_or_else(|| self.header_wait());
        let requested = || request.requested.clone();
        // Whether the registry named this URL, by a redirect or a token realm.
        let by_registry = template == REDIRECTED || request.kind == "token";
        let refused = |refused: NotAllowed| RegistryError::NotAllowed {
            requested: requested(),
            refused: Box::new(refused.of(url)),
            by_registry,
        };
        let dial = &self.inner.dial;
        let checked = if way.outside_only {
            dial.outside_only().check(url).await
        } else {
            dial.check(url).await
        };
        checked.map_err(refused)?;
        match timeout(limit, self.send_and_resend(request, way, prepared)).await {
            Err(_) => Err(RegistryError::TimedOut {
                requested: requested(),
                awaited: "response",
                limit,
            }),
            Ok(Err(SendError::Setup(cause))) => Err(RegistryError::Setup {
                registry: self.name().clone(),
                cause,
            }),
            Ok(Err(SendError::Sending(cause))) => {
                let resolver = among_causes::<NotAllowed>(&cause).cloned();
                Err(resolver.map_or_else(|| unreachable(requested(), &cause, limit), refused))
            }
            Ok(Ok(response)) => Ok(response),
        }
    }

    /// Returns the error for a refusal.
    pub(super) async fn refusal(
        &self,
        request: &Request,
        response: RegistryResponse,
        signed: bool,
    ) -> RegistryError {
        let retry_after = retry_after(response.headers());
        let status = response.status();
        let allows = response.allows;
        let response = error_response(response).await;
        let requested = request.requested.clone();
        if let Some(allows) = allows {
            return RegistryError::TooManyAtOnce {
                requested,
                allows,
                response: Some(response),
                retry_after,
            };
        }
        match status {
            StatusCode::NOT_FOUND => RegistryError::NotFound { requested, response },
            StatusCode::UNAUTHORIZED if signed => RegistryError::WrongCredential { requested, response },
            StatusCode::UNAUTHORIZED => RegistryError::NoCredential { requested, response },
            StatusCode::FORBIDDEN => RegistryError::Forbidden { requested, response },
            StatusCode::TOO_MANY_REQUESTS => RegistryError::TooManyRequests {
                requested,
                response,
                retry_after,
            },
            _ if status.is_server_error() => RegistryError::ServerError {
                requested,
                response,
                retry_after,
            },
            _ => RegistryError::Unexpected { requested, response },
        }
    }
}

/// Why a request got no response.
pub(super) enum SendError {
    /// No HTTP client can be built.
    Setup(String),
    Sending(reqwest::Error),
}

/// Reads status and error text of a refusal. The text is empty if the body does not arrive or another host than the
/// registry sent it.
pub(super) async fn error_response(mut response: RegistryResponse) -> ErrorResponse {
    match response.refusal.take() {
        Some(read) => read,
        None => read_refusal(&mut response).await,
    }
}

pub(super) async fn read_refusal(response: &mut RegistryResponse) -> ErrorResponse {
    let status = response.status().as_u16();
    if let Some(host) = response.elsewhere() {
        return ErrorResponse::elsewhere(status, host);
    }
    let mut body = BytesMut::new();
    let read = async {
        while let Ok(Some(chunk)) = response.chunk().await {
            let room = REFUSAL_BYTES - body.len();
            body.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
            if body.len() >= REFUSAL_BYTES {
                break;
            }
        }
    };
    // On a timeout, the text is what has arrived so far.
    let _ = timeout(REFUSAL_WAIT, read).await;
    ErrorResponse::new(status, &body)
}

fn span_of(request: &Request, template: &'static str, url: &Url) -> Span {
    let span = info_span!(
        "registry.request",
        otel.name = format!("{} {template}", request.method),
        otel.kind = "client",
        otel.status_code = field::Empty,
        http.request.method = %request.method,
        http.request.resend_count = field::Empty,
        http.response.body.size = field::Empty,
        http.response.status_code = field::Empty,
        server.address = url.host_str().unwrap_or_default(),
        server.port = url.port_or_known_default().map(i64::from),
        url.template = template,
        error.type = field::Empty,
        stoker.image = %request.image,
        stoker.signed_in = request.history.signed_in(),
    );
    let resent = request.history.resent();
    if resent > 0 {
        span.record("http.request.resend_count", i64::from(resent));
    }
    span
}

/// A 401 asks for a sign-in and is no error of the span; a failed sign-in is an error of its own.
fn record_status(span: &Span, status: StatusCode) {
    span.record("http.response.status_code", i64::from(status.as_u16()));
    let is_error = status.is_client_error() || status.is_server_error();
    if is_error && status != StatusCode::UNAUTHORIZED {
        mark_failed(span, status.as_str());
    }
}

fn unreachable(requested: RequestedObject, cause: &reqwest::Error, limit: Duration) -> RegistryError {
    if cause.is_timeout() && !cause.is_connect() {
        return RegistryError::TimedOut {
            requested,
            awaited: "response",
            limit,
        };
    }
    RegistryError::Unreachable {
        requested,
        cause: ConnectFault::of(cause),
    }
}
