//! Why a caller gets no object, with the status and code of the distribution specification.
//!
//! **Invariant:** a 429 or 408 goes only to the caller whose question the registry answered so: containerd retries it at
//! once, and [`super::failure`] repeats it from memory. Our own limits are a 503.

use axum::response::Response;
use http::header::{CACHE_CONTROL, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use wire::{ObjectKind, Side};

use super::bars::Bar;
use super::failure::Failure;
use super::response::error_response;
use crate::delivery::{DeliveryError, OpenError};
use crate::fetch::FetchError;

/// `Retry-After` for an object that is not proven yet.
const PROOF_RETRY_SECONDS: u64 = 10;

/// Why a request gets no object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// 401 with these `WWW-Authenticate` values.
    Challenge(Vec<HeaderValue>),
    /// 412: a rule of the registry bars this image.
    Barred(Bar),
    /// The registry failed to answer this question.
    Failed(Failure),
    /// This peer sends ranges only of proven objects, and the proof takes longer than a caller waits.
    NotProvenYet,
    /// Status, code, text and side.
    Status(StatusCode, &'static str, String, Side),
}

impl Refusal {
    pub(crate) fn not_found(code: &'static str, text: impl Into<String>) -> Self {
        Self::Status(StatusCode::NOT_FOUND, code, text.into(), Side::Caller)
    }

    /// A digest of this algorithm cannot be verified here: the runtime asks the registry itself.
    pub(crate) fn unknown_algorithm(algorithm: &str) -> Self {
        let text = format!("{algorithm} digests cannot be verified here: ask the registry itself");
        Self::not_found("UNSUPPORTED", text)
    }

    /// This peer cannot serve the object now.
    pub(crate) fn unavailable(text: impl Into<String>) -> Self {
        Self::unavailable_for(Side::Peer, text)
    }

    /// The registry, or its token server, is unreachable.
    pub(crate) fn unreachable(text: impl Into<String>) -> Self {
        Self::unavailable_for(Side::Network, text)
    }

    pub(crate) fn bad_gateway(side: Side, code: &'static str, text: impl Into<String>) -> Self {
        Self::Status(StatusCode::BAD_GATEWAY, code, text.into(), side)
    }

    fn unavailable_for(side: Side, text: impl Into<String>) -> Self {
        Self::Status(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE", text.into(), side)
    }

    /// The registry refused.
    pub(crate) fn of_registry(status: StatusCode, code_of_404: &'static str, registry: &str) -> Self {
        let text = format!(
            "registry {registry} refused this credential ({}): check the credential and the name",
            status.as_u16()
        );
        match status {
            StatusCode::NOT_FOUND => Self::Status(status, code_of_404, text, Side::Caller),
            StatusCode::FORBIDDEN => Self::Status(status, "DENIED", text, Side::Caller),
            // A runtime could take other statuses for instructions of its registry.
            _ => Self::bad_gateway(Side::Registry, "UNAVAILABLE", text),
        }
    }

    /// The fetch failed before its first byte.
    pub(crate) fn of_fetch(error: &FetchError, kind: ObjectKind) -> Self {
        match error.side() {
            // The caller's token may have expired since the question: with a 404 it would not renew it.
            Side::Caller if error.is_forbidden() => {
                Self::Status(StatusCode::FORBIDDEN, "DENIED", error.to_string(), Side::Caller)
            }
            Side::Caller => Self::not_found(unknown(kind), error.to_string()),
            Side::Registry | Side::Network => {
                Self::bad_gateway(error.side(), "UNAVAILABLE", error.to_string())
            }
            Side::Peer | Side::Manager => Self::unavailable(error.to_string()),
        }
    }

    pub(crate) fn of_opening(error: &OpenError, kind: ObjectKind) -> Self {
        match error {
            OpenError::Fetch(error) => Self::of_fetch(error, kind),
            OpenError::NotDelivered(why) => Self::of_delivery(why, kind),
        }
    }

    /// For another peer: 409 says that the bytes are different.
    pub(crate) fn of_comparison(why: &DeliveryError) -> Self {
        if matches!(why, DeliveryError::Different { .. }) {
            return Self::Status(StatusCode::CONFLICT, "DENIED", why.to_string(), Side::Registry);
        }
        Self::of_delivery(why, ObjectKind::Blob)
    }

    /// The location does not deliver the object: the runtime asks the registry itself.
    pub(crate) fn of_delivery(why: &DeliveryError, kind: ObjectKind) -> Self {
        match why.side() {
            Side::Caller => Self::Status(StatusCode::FORBIDDEN, "DENIED", why.to_string(), Side::Caller),
            Side::Registry => Self::Status(
                StatusCode::NOT_FOUND,
                unknown(kind),
                why.to_string(),
                Side::Registry,
            ),
            side => Self::unavailable_for(side, why.to_string()),
        }
    }

    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Challenge(_) => StatusCode::UNAUTHORIZED,
            Self::Barred(_) => StatusCode::PRECONDITION_FAILED,
            Self::Failed(failure) => failure.passed_status(),
            Self::NotProvenYet => StatusCode::SERVICE_UNAVAILABLE,
            Self::Status(status, ..) => *status,
        }
    }

    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Challenge(_) => "the registry requires a credential: sign in, and pull again",
            Self::Barred(bar) => &bar.text,
            Self::Failed(failure) => &failure.text,
            Self::NotProvenYet => "the object is not proven yet: request the range again",
            Self::Status(_, _, text, _) => text,
        }
    }

    pub(crate) fn side(&self) -> Side {
        match self {
            Self::Challenge(_) => Side::Caller,
            Self::Barred(_) => Side::Registry,
            Self::Failed(failure) => failure.side,
            Self::NotProvenYet => Side::Peer,
            Self::Status(.., side) => *side,
        }
    }

    pub(crate) fn into_response(self) -> Response {
        let (status, text) = (self.status(), self.text().to_owned());
        match self {
            Self::Challenge(challenges) => {
                let mut response = error_response(status, "UNAUTHORIZED", &text);
                // The realm is for this caller: no cache may give it to others.
                response
                    .headers_mut()
                    .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
                for challenge in challenges {
                    response.headers_mut().append(WWW_AUTHENTICATE, challenge);
                }
                response
            }
            Self::Barred(bar) => bar.into_response(),
            Self::Failed(failure) => {
                let code = if status == StatusCode::TOO_MANY_REQUESTS {
                    "TOOMANYREQUESTS"
                } else {
                    "UNAVAILABLE"
                };
                let mut response = error_response(status, code, &text);
                if let Some(wait) = failure.retry_after {
                    // Rounded up to whole seconds.
                    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
                    response.headers_mut().insert(RETRY_AFTER, seconds.into());
                }
                response
            }
            Self::NotProvenYet => {
                let mut response = error_response(status, "UNAVAILABLE", &text);
                response
                    .headers_mut()
                    .insert(RETRY_AFTER, PROOF_RETRY_SECONDS.into());
                response
            }
            Self::Status(_, code, ..) => error_response(status, code, &text),
        }
    }
}

pub(crate) fn unknown(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::Manifest => "MANIFEST_UNKNOWN",
        ObjectKind::Blob => "BLOB_UNKNOWN",
    }
}
