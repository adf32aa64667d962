//! Failures of requests to a registry.
//!
//! **Invariant:** no error holds a credential, a query string, more than [`TEXT_LIMIT`] characters of outside text, or
//! text from another host than the registry. The first sentence (all but the registry's own words) has at most 120
//! letters, so that Harbor's tables show it: long names lose their middle, and a digest is its first 12 digits.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use crate::challenge::BadRealm;
use crate::dial::NotAllowed;
use crate::text::{TEXT_LIMIT, tame, with_short_digests, without_middle};
use crate::{BadTokenAnswer, ConnectFault, Digest, LookupError, RegistryName};

/// Whose failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The request: a wrong name, or a credential that is not accepted.
    Caller,
    Registry,
    Network,
}

/// Letters of the registry's name and the object together, of which the registry's name takes at most the first number.
const LONGEST_NAMES: usize = 64;
const LONGEST_REGISTRY: usize = 24;
/// Letters of the name of a registry's storage.
const LONGEST_HOST: usize = 18;

/// The requested object and its registry: `harbor.example.com: manifest 1.27 of library/nginx`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestedObject {
    pub registry: RegistryName,
    pub object: String,
}

impl fmt::Display for RequestedObject {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let registry = without_middle(self.registry.as_str(), LONGEST_REGISTRY);
        let left = LONGEST_NAMES.saturating_sub(registry.chars().count());
        write!(out, "{registry}: {}", object_within(left, &self.object))
    }
}

/// Shortens `manifest v1 of library/nginx`, the repository first.
fn object_within(limit: usize, object: &str) -> String {
    let object = with_short_digests(object);
    let Some((what, repository)) = object.rsplit_once(" of ") else {
        return without_middle(&object, limit);
    };
    let left = limit.saturating_sub(what.chars().count() + " of ".len());
    without_middle(&format!("{what} of {}", without_middle(repository, left)), limit)
}

/// Status and first error text of a registry's response; sanitized and bounded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorResponse {
    pub status: u16,
    pub words: String,
}

impl ErrorResponse {
    pub(crate) fn new(status: u16, body: &[u8]) -> Self {
        Self {
            status,
            words: first_error(body),
        }
    }

    /// A response of another host that the registry redirected to. Its text is not passed on.
    pub(crate) fn elsewhere(status: u16, host: &str) -> Self {
        let words = format!("from {}, where it redirected", tame(host, 100));
        Self { status, words }
    }
}

impl fmt::Display for ErrorResponse {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "HTTP {}", self.status)?;
        if self.words.is_empty() {
            Ok(())
        } else {
            write!(out, " ({})", self.words)
        }
    }
}

/// Returns `CODE: message` of the first error, or the plain text; nothing of an HTML page.
fn first_error(body: &[u8]) -> String {
    let json: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let text_at = |pointer: &str| json.pointer(pointer).and_then(serde_json::Value::as_str);
    let code = text_at("/errors/0/code");
    let message = text_at("/errors/0/message")
        .or_else(|| text_at("/details"))
        .or_else(|| text_at("/message"))
        // OAuth 2.
        .or_else(|| text_at("/error_description"))
        .or_else(|| text_at("/error"));
    match (code, message) {
        (Some(code), Some(message)) => tame(&format!("{code}: {message}"), TEXT_LIMIT),
        (Some(one), None) | (None, Some(one)) => tame(one, TEXT_LIMIT),
        (None, None) if body.trim_ascii_start().starts_with(b"<") => String::new(),
        (None, None) => tame(&String::from_utf8_lossy(body), TEXT_LIMIT),
    }
}

/// Why a request to a registry failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    #[error("{requested} not found: {response}")]
    NotFound {
        requested: RequestedObject,
        response: ErrorResponse,
    },
    #[error("{requested} needs a credential: {response}")]
    NoCredential {
        requested: RequestedObject,
        response: ErrorResponse,
    },
    #[error("{requested} refused, credential not accepted: {response}")]
    WrongCredential {
        requested: RequestedObject,
        response: ErrorResponse,
    },
    #[error("{requested} refused, its credential has expired: {response}")]
    CredentialEnded {
        requested: RequestedObject,
        response: ErrorResponse,
    },
    #[error("{requested} forbidden for this credential: {response}")]
    Forbidden {
        requested: RequestedObject,
        response: ErrorResponse,
    },
    #[error("{requested} rate-limited{}: {response}", when(.retry_after.as_ref()))]
    TooManyRequests {
        requested: RequestedObject,
        response: ErrorResponse,
        retry_after: Option<Duration>,
    },
    /// Refused because of the requests that are in flight. Only for callers that may wait.
    #[error(
        "{requested} not fetched, registry allows {allows} at once{}{}",
        when(.retry_after.as_ref()), .response.as_ref().map_or_else(String::new, |response| format!(": {response}"))
    )]
    TooManyAtOnce {
        requested: RequestedObject,
        allows: u32,
        /// `None` if the time was over before the request was sent.
        response: Option<ErrorResponse>,
        retry_after: Option<Duration>,
    },
    #[error("{requested} failed{}: {response}", when(.retry_after.as_ref()))]
    ServerError {
        requested: RequestedObject,
        response: ErrorResponse,
        retry_after: Option<Duration>,
    },
    #[error("{requested} got an unexpected response: {response}")]
    Unexpected {
        requested: RequestedObject,
        response: ErrorResponse,
    },
    #[error("{requested} not fetched, {}", unreached(.cause))]
    Unreachable {
        requested: RequestedObject,
        cause: ConnectFault,
    },
    /// It is configured or named with plain HTTP, and redirects to HTTPS.
    #[error("{requested} not fetched, registry redirects to https: {}", unreached(.cause))]
    SpeaksHttps {
        requested: RequestedObject,
        cause: ConnectFault,
    },
    #[error("{requested} not fetched: no {awaited} within {} s", .limit.as_secs_f32())]
    TimedOut {
        requested: RequestedObject,
        awaited: &'static str,
        limit: Duration,
    },
    #[error("{requested} interrupted after {received} bytes: {cause}")]
    CutShort {
        requested: RequestedObject,
        received: u64,
        cause: String,
    },
    #[error("{requested} has wrong bytes: {}, not {}", .found.short(), .expected.short())]
    WrongBytes {
        requested: RequestedObject,
        expected: Box<Digest>,
        found: Box<Digest>,
    },
    #[error("{requested} is larger than {limit} bytes")]
    TooLarge {
        requested: RequestedObject,
        limit: usize,
    },
    #[error("{requested} got an unusable response: {what}")]
    BadAnswer {
        requested: RequestedObject,
        what: String,
    },
    #[error("{requested} cannot be verified: {algorithm} is not supported")]
    UnknownAlgorithm {
        requested: RequestedObject,
        algorithm: String,
    },
    #[error("{requested} not issued: {cause}")]
    BadToken {
        requested: RequestedObject,
        cause: BadTokenAnswer,
    },
    #[error("{requested} refused by its storage {}: HTTP {}", without_middle(.host, LONGEST_HOST), .response.status)]
    StorageRefused {
        requested: RequestedObject,
        host: String,
        response: ErrorResponse,
    },
    #[error("{requested} found no free connection of {limit} in {} s", .waited.as_secs_f32())]
    NoFreeConnection {
        requested: RequestedObject,
        limit: NonZeroU32,
        waited: Duration,
    },
    #[error("{requested} not fetched, credential lookup failed; {cause}")]
    NoLookup {
        requested: RequestedObject,
        cause: LookupError,
    },
    #[error("{requested} was redirected, but the redirect is not followed: {what}")]
    BadRedirect {
        requested: RequestedObject,
        what: String,
    },
    #[error("{requested} not fetched, sign-in refused: {realm}")]
    UnsafeRealm {
        requested: RequestedObject,
        realm: Box<BadRealm>,
    },
    #[error("{requested} not requested: {refused}")]
    NotAllowed {
        requested: RequestedObject,
        refused: Box<NotAllowed>,
        /// Whether a redirect or a token realm led there, and not the registry's own name.
        by_registry: bool,
    },
    #[error("{registry}: {cause}")]
    Setup { registry: RegistryName, cause: String },
}

/// Describes the `Retry-After` that we did not wait for.
fn when(retry_after: Option<&Duration>) -> String {
    retry_after.map_or_else(String::new, |wait| {
        format!(" (retry in {} s)", wait.as_secs_f32())
    })
}

/// A bad certificate is a matter of the registry, not of the network.
fn unreached(cause: &ConnectFault) -> String {
    match cause {
        ConnectFault::Certificate(fault) => format!("registry's {fault}"),
        other => format!("registry unreachable: {other}"),
    }
}

impl RegistryError {
    /// Returns whose failure it is.
    pub fn side(&self) -> Side {
        match self {
            Self::NotFound { .. }
            | Self::NoCredential { .. }
            | Self::WrongCredential { .. }
            | Self::CredentialEnded { .. }
            | Self::Forbidden { .. }
            | Self::NotAllowed {
                by_registry: false, ..
            }
            | Self::NoLookup { .. }
            | Self::SpeaksHttps { .. }
            | Self::Setup { .. } => Side::Caller,
            Self::Unreachable { .. } | Self::TimedOut { .. } | Self::CutShort { .. } => Side::Network,
            _ => Side::Registry,
        }
    }

    /// Whether the same request may succeed later.
    pub fn is_worth_retrying(&self) -> bool {
        match self {
            Self::TooManyRequests { .. }
            | Self::TooManyAtOnce { .. }
            | Self::ServerError { .. }
            | Self::TimedOut { .. }
            | Self::CutShort { .. }
            | Self::StorageRefused { .. }
            | Self::NoFreeConnection { .. }
            | Self::NoLookup { .. }
            | Self::WrongBytes { .. } => true,
            Self::Unreachable { cause, .. } => cause.may_pass(),
            _ => false,
        }
    }

    /// Whether the registry failed to answer: unreachable, too slow, interrupted, a 5xx, or refused by its storage.
    pub fn is_outage(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::TimedOut { .. }
                | Self::CutShort { .. }
                | Self::ServerError { .. }
                | Self::StorageRefused { .. }
                | Self::NoFreeConnection { .. }
        )
    }

    /// Returns how long the registry asked us to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::TooManyRequests { retry_after, .. }
            | Self::TooManyAtOnce { retry_after, .. }
            | Self::ServerError { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Whether a refusal by count is a 503 without `Retry-After`: it may as well be a failure.
    fn is_without_a_word(&self) -> bool {
        self.status() == Some(503) && self.retry_after().is_none()
    }

    /// Returns the status of the registry's response, if there was one.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::NotFound { response, .. }
            | Self::NoCredential { response, .. }
            | Self::WrongCredential { response, .. }
            | Self::CredentialEnded { response, .. }
            | Self::Forbidden { response, .. }
            | Self::TooManyRequests { response, .. }
            | Self::ServerError { response, .. }
            | Self::Unexpected { response, .. } => Some(response.status),
            Self::TooManyAtOnce { response, .. } => response.as_ref().map(|response| response.status),
            _ => None,
        }
    }

    /// Returns the kind of error, one of a few words for spans and metrics.
    pub fn error_type(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "not_found",
            Self::NoCredential { .. } => "no_credential",
            Self::WrongCredential { .. } => "wrong_credential",
            Self::CredentialEnded { .. } => "credential_ended",
            Self::Forbidden { .. } => "forbidden",
            Self::TooManyRequests { .. } => "too_many_requests",
            Self::TooManyAtOnce { .. } if self.is_without_a_word() => "busy",
            Self::TooManyAtOnce { .. } => "too_many_at_once",
            Self::ServerError { .. } => "server_error",
            Self::Unexpected { .. } => "unexpected_answer",
            Self::Unreachable { .. } => "unreachable",
            Self::SpeaksHttps { .. } => "speaks_https",
            Self::TimedOut { .. } => "timeout",
            Self::CutShort { .. } => "cut_short",
            Self::WrongBytes { .. } => "wrong_bytes",
            Self::TooLarge { .. } => "too_large",
            Self::BadAnswer { .. } => "bad_answer",
            Self::UnknownAlgorithm { .. } => "unknown_algorithm",
            Self::BadToken { .. } => "bad_token",
            Self::BadRedirect { .. } => "bad_redirect",
            Self::StorageRefused { .. } => "storage_refused",
            Self::NoFreeConnection { .. } => "no_turn",
            Self::NoLookup { .. } => "no_lookup",
            Self::UnsafeRealm { .. } => "unsafe_realm",
            Self::NotAllowed { .. } => "not_allowed",
            Self::Setup { .. } => "setup",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_registry_is_sanitized_and_bounded() {
        let hostile = format!(
            "{{\"errors\":[{{\"code\":\"X\\u001b[2J\",\"message\":\"{}\"}}]}}",
            "y\\n".repeat(5_000)
        );
        let response = ErrorResponse::new(500, hostile.as_bytes());
        assert!(response.words.starts_with("X [2J: y y"), "{response}");
        assert!(response.words.chars().count() <= TEXT_LIMIT + 1);
        assert!(!response.words.contains(char::is_control));
    }

    fn long_names() -> (RequestedObject, Digest) {
        let digest = Digest::of(b"a layer");
        let label = "a".repeat(29);
        let registry = format!("{label}.{label}");
        let object = format!("manifest {digest} of {}", "team/".repeat(39) + "nginx");
        let requested = RequestedObject {
            registry: registry.parse().expect("a name"),
            object,
        };
        (requested, digest)
    }

    /// One error of each kind, with long names.
    fn one_of_each() -> Vec<RegistryError> {
        let (requested, digest) = long_names();
        let requested = || requested.clone();
        let response = |status| ErrorResponse::new(status, b"");
        let retry_after = Some(Duration::from_secs(60));
        let cause = || "connection refused".to_owned();
        let host = "b".repeat(60);
        vec![
            RegistryError::NotFound {
                requested: requested(),
                response: response(404),
            },
            RegistryError::NoCredential {
                requested: requested(),
                response: response(401),
            },
            RegistryError::WrongCredential {
                requested: requested(),
                response: response(401),
            },
            RegistryError::CredentialEnded {
                requested: requested(),
                response: response(401),
            },
            RegistryError::Forbidden {
                requested: requested(),
                response: response(403),
            },
            RegistryError::TooManyRequests {
                requested: requested(),
                response: response(429),
                retry_after,
            },
            RegistryError::ServerError {
                requested: requested(),
                response: response(503),
                retry_after,
            },
            RegistryError::Unexpected {
                requested: requested(),
                response: response(418),
            },
            RegistryError::Unreachable {
                requested: requested(),
                cause: ConnectFault::Other(cause()),
            },
            RegistryError::TimedOut {
                requested: requested(),
                awaited: "response",
                limit: Duration::from_secs(30),
            },
            RegistryError::CutShort {
                requested: requested(),
                received: 123_456_789,
                cause: "end of body".to_owned(),
            },
            RegistryError::WrongBytes {
                requested: requested(),
                expected: Box::new(digest),
                found: Box::new(Digest::of(b"other")),
            },
            RegistryError::TooLarge {
                requested: requested(),
                limit: 4 * 1024 * 1024,
            },
            RegistryError::BadAnswer {
                requested: requested(),
                what: "no digest".to_owned(),
            },
            RegistryError::UnknownAlgorithm {
                requested: requested(),
                algorithm: "blake3".to_owned(),
            },
            RegistryError::StorageRefused {
                requested: requested(),
                host,
                response: response(403),
            },
            RegistryError::NoFreeConnection {
                requested: requested(),
                limit: NonZeroU32::MIN,
                waited: Duration::from_secs(20),
            },
            RegistryError::NoLookup {
                requested: requested(),
                cause: LookupError::TooLong,
            },
        ]
    }

    #[test]
    fn the_first_sentence_of_each_kind_fits_harbors_table_and_names_things_once() {
        for error in one_of_each() {
            let text = format!("{error}; {}", error.what_to_do());
            let (first, advice) = text.split_once("; ").expect("what to do");
            assert!(first.chars().count() <= 120, "{}: {first}", first.chars().count());
            assert!(!advice.is_empty());
            let (requested, digest) = long_names();
            for name in ["aaaa…aaaa", digest.short(), "nginx"] {
                let times = text.matches(name).count();
                let is_wrong_bytes = matches!(error, RegistryError::WrongBytes { .. });
                assert!(times <= 1 || is_wrong_bytes, "{name}: {text}");
            }
            assert!(
                !text.contains(requested.registry.as_str()) && !text.contains(digest.as_str()),
                "{text}"
            );
        }
    }

    #[test]
    fn usual_names_are_whole() {
        let (_, digest) = long_names();
        let requested = RequestedObject {
            registry: "harbor.example.com".parse().expect("a name"),
            object: format!("manifest {digest} of library/nginx"),
        };
        insta::assert_snapshot!(requested, @"harbor.example.com: manifest sha256:e28d98ac666a of library/nginx");
    }

    #[test]
    fn html_pages_are_left_out() {
        assert_eq!(
            ErrorResponse::new(502, b" <html>bad gateway</html>").to_string(),
            "HTTP 502"
        );
    }

    #[test]
    fn plain_text_and_other_json_shapes_are_read() {
        assert_eq!(ErrorResponse::new(429, b"slow down").words, "slow down");
        assert_eq!(
            ErrorResponse::new(401, br#"{"details":"incorrect username or password"}"#).words,
            "incorrect username or password"
        );
        let oauth = br#"{"error":"invalid_grant","error_description":"token expired"}"#;
        assert_eq!(ErrorResponse::new(400, oauth).words, "token expired");
    }
}
