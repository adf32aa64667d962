//! One request and its answer: the span, the time limit, redirects, bodies of bounded size.
//!
//! **Invariant:** an `Authorization` never goes to another scheme, host or port than the one it was meant for.

use std::error::Error as _;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use reqwest::Response;
use tokio::time::{Instant, timeout};
use tracing::{Instrument as _, Span, field, info_span};
use url::Url;

use super::{Registry, number};
use crate::challenge::is_loopback;
use crate::text::tame;
use crate::{Asked, RegistryError, Repository, Said, Secret};

/// The most of a refusal's body that is read for its words.
const REFUSAL_BYTES: usize = 8 * 1024;
const REFUSAL_WAIT: Duration = Duration::from_secs(5);
const LONGEST_RETRY_AFTER: u64 = 3_600;

/// What is asked. Everything here may stand in a span.
pub(super) struct Request {
    pub(super) method: Method,
    /// `manifest`, `blob` or `token`: the low-cardinality half of the span's name.
    pub(super) kind: &'static str,
    pub(super) template: &'static str,
    /// Behind `/v2/`.
    pub(super) path: String,
    pub(super) repository: Repository,
    pub(super) image: String,
    pub(super) accept: String,
    /// First byte that is wanted.
    pub(super) from: u64,
    pub(super) asked: Asked,
}

impl Request {
    fn headers(&self, authorization: Option<&Secret>) -> Result<HeaderMap, RegistryError> {
        let mut headers = HeaderMap::new();
        let unusable = |what: &str| RegistryError::BadAnswer {
            asked: self.asked.clone(),
            what: what.to_owned(),
        };
        if !self.accept.is_empty() {
            let accept =
                HeaderValue::from_str(&self.accept).map_err(|_| unusable("the Accept has odd letters"))?;
            headers.insert(header::ACCEPT, accept);
        }
        if self.from > 0 {
            let range = format!("bytes={}-", self.from);
            headers.insert(
                header::RANGE,
                HeaderValue::from_str(&range).map_err(|_| unusable("no range"))?,
            );
        }
        if let Some(secret) = authorization {
            headers.insert(header::AUTHORIZATION, sensitive(secret, &self.asked)?);
        }
        Ok(headers)
    }
}

/// An `Authorization` value that HTTP libraries do not print either.
pub(super) fn sensitive(secret: &Secret, asked: &Asked) -> Result<HeaderValue, RegistryError> {
    let mut value = HeaderValue::from_str(secret.expose()).map_err(|_| RegistryError::BadAnswer {
        asked: asked.clone(),
        what: "the credential has letters that no header may have".into(),
    })?;
    value.set_sensitive(true);
    Ok(value)
}

impl Registry {
    /// Sends with exactly this `Authorization`, and follows redirects by hand.
    pub(super) async fn send(
        &self,
        request: &Request,
        authorization: Option<&Secret>,
    ) -> Result<Response, RegistryError> {
        let mut url = self.url_of(request)?;
        let mut authorization = authorization;
        for _ in 0..=self.inner.limits.redirects {
            let headers = request.headers(authorization)?;
            let prepared = self
                .inner
                .client
                .request(request.method.clone(), url.clone())
                .headers(headers);
            let response = self.send_once(request, &url, prepared).await?;
            let Some(next) = self.redirect_of(&request.asked, &url, &response)? else {
                return Ok(response);
            };
            if next.origin() != url.origin() {
                authorization = None;
            }
            url = next;
        }
        let what = format!("more than {} redirects", self.inner.limits.redirects);
        Err(RegistryError::BadRedirect {
            asked: request.asked.clone(),
            what,
        })
    }

    /// One request without redirects, in a span that ends when the headers are there.
    pub(super) async fn send_once(
        &self,
        request: &Request,
        url: &Url,
        prepared: reqwest::RequestBuilder,
    ) -> Result<Response, RegistryError> {
        let span = span_of(request, url);
        let limit = self.inner.limits.header_wait;
        let asked = || request.asked.clone();
        let answer = timeout(limit, prepared.send()).instrument(span.clone()).await;
        let result = match answer {
            Err(_) => Err(RegistryError::TimedOut {
                asked: asked(),
                awaited: "answer",
                limit,
            }),
            Ok(Err(cause)) => Err(unreachable(asked(), &cause, limit)),
            Ok(Ok(response)) => Ok(response),
        };
        match &result {
            Ok(response) => span.record("http.response.status_code", response.status().as_u16()),
            Err(error) => span.record(
                "error.type",
                if error.status().is_none() {
                    "network"
                } else {
                    "status"
                },
            ),
        };
        result
    }

    fn url_of(&self, request: &Request) -> Result<Url, RegistryError> {
        let unusable = |cause: url::ParseError| RegistryError::Setup {
            registry: self.name().clone(),
            cause: format!("the address of {} cannot be used: {cause}", request.asked.object),
        };
        Url::parse(&format!("{}{}", self.inner.base, request.path)).map_err(unusable)
    }

    /// Where an answer sends us, if it does and we go there.
    fn redirect_of(
        &self,
        asked: &Asked,
        from: &Url,
        response: &Response,
    ) -> Result<Option<Url>, RegistryError> {
        if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
            return Ok(None);
        }
        let refuse = |what: &str| {
            Err(RegistryError::BadRedirect {
                asked: asked.clone(),
                what: what.to_owned(),
            })
        };
        let location = response
            .headers()
            .get(header::LOCATION)
            .and_then(|value| value.to_str().ok());
        let Some(next) = location.and_then(|location| from.join(location).ok()) else {
            return refuse("the redirect names no place");
        };
        if !matches!(next.scheme(), "http" | "https") || !next.username().is_empty() {
            return refuse("the redirect names no plain web address");
        }
        if from.scheme() == "https" && next.scheme() == "http" && !self.inner.settings.insecure_skip_verify {
            return refuse("from https to plain http");
        }
        if leads_inside(&next) && !self.name().is_loopback() && next.host() != from.host() {
            return refuse("to an address of this machine or of its link");
        }
        Ok(Some(next))
    }

    /// A whole body of `limit` bytes at most.
    pub(super) async fn read_whole(
        &self,
        asked: &Asked,
        mut response: Response,
        limit: usize,
    ) -> Result<Bytes, RegistryError> {
        let too_large = || RegistryError::TooLarge {
            asked: asked.clone(),
            limit,
        };
        let announced = number(response.headers(), &header::CONTENT_LENGTH);
        if announced.is_some_and(|length| usize::try_from(length).map_or(true, |length| length > limit)) {
            return Err(too_large());
        }
        let wait = self.inner.limits.document_wait;
        let deadline = Instant::now() + wait;
        let mut bytes = BytesMut::new();
        loop {
            let until = deadline.min(Instant::now() + self.inner.limits.chunk_wait);
            let chunk = tokio::time::timeout_at(until, response.chunk())
                .await
                .map_err(|_| RegistryError::TimedOut {
                    asked: asked.clone(),
                    awaited: "end of the body",
                    limit: wait,
                })?;
            match chunk.map_err(|cause| cut_short(asked, bytes.len() as u64, &cause))? {
                Some(chunk) if bytes.len() + chunk.len() > limit => return Err(too_large()),
                Some(chunk) => bytes.extend_from_slice(&chunk),
                None => return Ok(bytes.freeze()),
            }
        }
    }

    /// The error that a refusing answer means.
    pub(super) async fn refusal(&self, request: &Request, response: Response, signed: bool) -> RegistryError {
        let retry_after = number(response.headers(), &header::RETRY_AFTER)
            .map(|seconds| Duration::from_secs(seconds.min(LONGEST_RETRY_AFTER)));
        let status = response.status();
        let said = said(response).await;
        let asked = request.asked.clone();
        match status {
            StatusCode::NOT_FOUND => RegistryError::NotFound { asked, said },
            StatusCode::UNAUTHORIZED if signed => RegistryError::WrongCredential { asked, said },
            StatusCode::UNAUTHORIZED => RegistryError::NoCredential { asked, said },
            StatusCode::FORBIDDEN => RegistryError::Forbidden { asked, said },
            StatusCode::TOO_MANY_REQUESTS => RegistryError::TooManyRequests {
                asked,
                said,
                retry_after,
            },
            _ if status.is_server_error() => RegistryError::ServerError {
                asked,
                said,
                retry_after,
            },
            _ => RegistryError::Unexpected { asked, said },
        }
    }
}

/// Status and words of an answer that is not what we wanted. A body that does not come is no words.
pub(super) async fn said(mut response: Response) -> Said {
    let status = response.status().as_u16();
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
    // Nothing is lost when the time is over: what came until then is what the registry said.
    let _ = timeout(REFUSAL_WAIT, read).await;
    Said::new(status, &body)
}

fn span_of(request: &Request, url: &Url) -> Span {
    info_span!(
        "registry.request",
        otel.name = format!("{} {}", request.method, request.kind),
        otel.kind = "client",
        http.request.method = %request.method,
        server.address = url.host_str().unwrap_or_default(),
        server.port = url.port_or_known_default(),
        url.template = request.template,
        http.response.status_code = field::Empty,
        error.type = field::Empty,
        stoker.image = %request.image,
    )
}

/// Addresses that only a server inside could mean: a registry must not make us ask there.
fn leads_inside(url: &Url) -> bool {
    let Some(host) = url.host() else { return true };
    let is_link_local = match host {
        url::Host::Ipv4(address) => address.is_link_local() || address.is_unspecified(),
        url::Host::Ipv6(address) => address.is_unicast_link_local() || address.is_unspecified(),
        url::Host::Domain(_) => false,
    };
    is_link_local || is_loopback(&host)
}

fn unreachable(asked: Asked, cause: &reqwest::Error, limit: Duration) -> RegistryError {
    if cause.is_timeout() && !cause.is_connect() {
        return RegistryError::TimedOut {
            asked,
            awaited: "answer",
            limit,
        };
    }
    RegistryError::Unreachable {
        asked,
        cause: innermost(cause),
    }
}

pub(super) fn cut_short(asked: &Asked, received: u64, cause: &reqwest::Error) -> RegistryError {
    RegistryError::CutShort {
        asked: asked.clone(),
        received,
        cause: innermost(cause),
    }
}

/// The last word of a chain of causes, which is the one that tells: "Connection refused". Never the URL.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause = error.source();
    while let Some(deeper) = cause.and_then(std::error::Error::source) {
        cause = Some(deeper);
    }
    let text = cause.map_or_else(|| "the connection failed".to_owned(), ToString::to_string);
    tame(&text, 200)
}
