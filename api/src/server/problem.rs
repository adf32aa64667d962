//! Problem documents (RFC 9457): what a caller learns about an error.
//!
//! **Invariant:** no secret and no internal cause is ever in a problem. Causes go to the log, once, here.
//! Harbor copies the whole body into its own log, so a problem is short and its `detail` is for people.

use std::any::Any;
use std::fmt::Display;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use preheat::{SessionError, StorageError};
use serde::Serialize;
use tracing::error;
use utoipa::ToSchema;
use wire::TraceContext;

pub(crate) const MEDIA_TYPE: &str = "application/problem+json";
const CHALLENGE: &str = "Bearer realm=\"stoker\"";
const SIGN_IN: &str = "No valid token came with this request. Send `Authorization: Bearer <token>`, or Basic with any user \
     name and the token as password. Harbor 2.12 and newer: auth mode OAUTH (its portal gets BASIC wrong). Harbor \
     2.1 to 2.11, or who else can send none: auth mode NONE and an endpoint of its own, which `stoker token create \
     --endpoint` prints; it holds until it expires or is revoked.";
const FIELD_NAME: &str = "Harbor's portal gets auth mode BASIC wrong: it sends the name of one of its form's fields (`username` or \
     `password`) as the user, now one and then the other, so it can never work. In Harbor, edit the instance: auth \
     mode OAUTH, with the token. Or set BASIC through Harbor's API: \"auth_info\": {\"stoker\": \"<token>\"}.";

/// A problem document as in RFC 9457.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// Kind of the problem, for programs: `urn:stoker:problem:…`.
    #[serde(rename = "type")]
    #[schema(value_type = String, example = "urn:stoker:problem:invalid")]
    kind: Kind,
    #[schema(value_type = String, example = "The request is invalid")]
    title: &'static str,
    /// The HTTP status code.
    #[schema(value_type = u16, example = 422)]
    status: u16,
    /// What happened and what to do.
    detail: String,
    /// Trace of this request, if the manager failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) enum Kind {
    #[serde(rename = "urn:stoker:problem:malformed")]
    Malformed,
    #[serde(rename = "urn:stoker:problem:invalid")]
    Invalid,
    #[serde(rename = "urn:stoker:problem:sign-in")]
    SignIn,
    #[serde(rename = "urn:stoker:problem:scope")]
    Scope,
    /// A peer or an applicant is refused.
    #[serde(rename = "urn:stoker:problem:not-admitted")]
    NotAdmitted,
    #[serde(rename = "urn:stoker:problem:no-certificate")]
    NoCertificate,
    /// A peer that knows nothing of certificates.
    #[serde(rename = "urn:stoker:problem:join-anew")]
    JoinAnew,
    #[serde(rename = "urn:stoker:problem:too-many")]
    TooMany,
    #[serde(rename = "urn:stoker:problem:not-found")]
    NotFound,
    #[serde(rename = "urn:stoker:problem:method")]
    Method,
    #[serde(rename = "urn:stoker:problem:conflict")]
    Conflict,
    #[serde(rename = "urn:stoker:problem:gone")]
    Gone,
    #[serde(rename = "urn:stoker:problem:too-large")]
    TooLarge,
    #[serde(rename = "urn:stoker:problem:media-type")]
    MediaType,
    /// The request was carried out and failed.
    #[serde(rename = "urn:stoker:problem:failed")]
    Failed,
    #[serde(rename = "urn:stoker:problem:busy")]
    Busy,
    #[serde(rename = "urn:stoker:problem:internal")]
    Internal,
}

impl Kind {
    fn says(self) -> (StatusCode, &'static str) {
        match self {
            Self::Malformed => (StatusCode::BAD_REQUEST, "The request cannot be read"),
            Self::Invalid => (StatusCode::UNPROCESSABLE_ENTITY, "The request is invalid"),
            Self::SignIn => (StatusCode::UNAUTHORIZED, "A valid token is required"),
            Self::Scope => (StatusCode::FORBIDDEN, "The token's scopes do not allow this"),
            Self::NotAdmitted => (StatusCode::FORBIDDEN, "The peer is not admitted"),
            Self::NoCertificate => (StatusCode::UNAUTHORIZED, "A valid peer certificate is required"),
            Self::JoinAnew => (StatusCode::UPGRADE_REQUIRED, "Peers must join with a join token"),
            Self::TooMany => (StatusCode::TOO_MANY_REQUESTS, "Too many attempts"),
            Self::NotFound => (StatusCode::NOT_FOUND, "Not found"),
            Self::Method => (
                StatusCode::METHOD_NOT_ALLOWED,
                "The path does not allow this method",
            ),
            Self::Conflict => (
                StatusCode::CONFLICT,
                "The request conflicts with the current state",
            ),
            Self::Gone => (StatusCode::GONE, "The session has ended"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "The body is too large"),
            Self::MediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body is not JSON"),
            Self::Failed => (StatusCode::BAD_GATEWAY, "The preheat failed"),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "The manager is busy"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "The manager failed"),
        }
    }
}

impl Problem {
    pub(crate) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        let (status, title) = kind.says();
        Self {
            kind,
            title,
            status: status.as_u16(),
            detail: detail.into(),
            trace_id: None,
        }
    }

    /// A value is invalid: `detail` names the field and what to write.
    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, detail)
    }

    /// The same text for every fault of a token, so that a stranger learns nothing from it.
    pub(crate) fn sign_in() -> Self {
        Self::new(Kind::SignIn, SIGN_IN)
    }

    /// The credential that Harbor's portal sends in mode BASIC by mistake.
    pub(crate) fn field_name() -> Self {
        Self::new(Kind::SignIn, FIELD_NAME)
    }

    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    pub(crate) fn scope(needed: impl Display) -> Self {
        Self::new(
            Kind::Scope,
            format!(
                "The token needs scope `{needed}`: create one with `stoker token create --name NAME --scope {needed}`."
            ),
        )
    }

    pub(crate) fn not_admitted(detail: impl Into<String>) -> Self {
        Self::new(Kind::NotAdmitted, detail)
    }

    pub(crate) fn no_certificate(detail: impl Into<String>) -> Self {
        Self::new(Kind::NoCertificate, detail)
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, detail)
    }

    pub(crate) fn busy() -> Self {
        Self::new(Kind::Busy, "The manager is busy: try again in a second.").traced()
    }

    /// The manager failed. The cause is logged, under the trace id that the caller gets.
    pub(crate) fn internal(cause: &(dyn std::error::Error + 'static)) -> Self {
        error!(
            stoker.side = "manager",
            error = cause,
            "a request failed inside the manager"
        );
        Self::failed()
    }

    /// A failure of storage: the caller may retry if it is busy; all else is a failure of the manager.
    pub(crate) fn storage(cause: &StorageError) -> Self {
        match cause {
            StorageError::Busy => Self::busy(),
            other => Self::internal(other),
        }
    }

    /// For the layer that catches panics. The message of the panic is already logged.
    pub(crate) fn from_panic(_payload: Box<dyn Any + Send>) -> Response {
        error!(stoker.side = "manager", "a handler panicked");
        Self::failed().into_response()
    }

    fn failed() -> Self {
        Self::new(
            Kind::Internal,
            "The manager failed; its log has the cause. Try again later.",
        )
        .traced()
    }

    fn traced(mut self) -> Self {
        self.trace_id = TraceContext::current().map(|context| context.trace_id().to_owned());
        self
    }
}

impl From<StorageError> for Problem {
    fn from(cause: StorageError) -> Self {
        Self::storage(&cause)
    }
}

impl From<SessionError> for Problem {
    fn from(cause: SessionError) -> Self {
        match cause {
            SessionError::Ended => Self::new(Kind::Gone, "This session has ended: say hello again."),
            SessionError::Storage(cause) => Self::storage(&cause),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let kind = self.kind;
        let mut response = (
            status,
            [(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE))],
            Json(self),
        )
            .into_response();
        let headers = response.headers_mut();
        match kind {
            Kind::SignIn => headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(CHALLENGE)),
            Kind::Busy => headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1")),
            Kind::TooMany => headers.insert(header::RETRY_AFTER, HeaderValue::from_static("60")),
            // The next connection shows the certificate that the peer has then.
            Kind::NoCertificate | Kind::NotAdmitted => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"))
            }
            Kind::JoinAnew => headers.insert(header::UPGRADE, HeaderValue::from_static("TLS/1.3")),
            _ => None,
        };
        response
    }
}
