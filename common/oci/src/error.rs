//! What can go wrong with a registry, in sentences for people.
//!
//! **Invariant:** no error holds a credential, a query string or more than [`SAID_LIMIT`] letters of outside text, and
//! none holds words of another host than the registry's own.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use crate::challenge::BadRealm;
use crate::dial::NotAllowed;
use crate::text::{SAID_LIMIT, tame};
use crate::{Digest, LookupError, RegistryName};

/// Whose side a failure lies on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The request: a wrong name, a credential that does not do.
    Caller,
    Registry,
    Network,
}

/// Which object was asked of which registry: `harbor.example.com: manifest 1.27 of library/nginx`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestedObject {
    pub registry: RegistryName,
    pub object: String,
}

impl fmt::Display for RequestedObject {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.registry, self.object)
    }
}

/// A registry's refusal in its own words: status, and the first error of the body. Tamed and bounded.
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

    /// What another host answered where the registry led to. Its words are not for who asked us.
    pub(crate) fn elsewhere(status: u16, host: &str) -> Self {
        let words = format!("answered by {}, to which it led", tame(host, 100));
        Self { status, words }
    }
}

impl fmt::Display for ErrorResponse {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "the registry said {}", self.status)?;
        if self.words.is_empty() {
            Ok(())
        } else {
            write!(out, " ({})", self.words)
        }
    }
}

/// `CODE: message` of the first error, or whatever text there is; nothing of HTML pages.
fn first_error(body: &[u8]) -> String {
    let json: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let text_at = |pointer: &str| json.pointer(pointer).and_then(serde_json::Value::as_str);
    let code = text_at("/errors/0/code");
    let message = text_at("/errors/0/message")
        .or_else(|| text_at("/details"))
        .or_else(|| text_at("/message"));
    match (code, message) {
        (Some(code), Some(message)) => tame(&format!("{code}: {message}"), SAID_LIMIT),
        (Some(one), None) | (None, Some(one)) => tame(one, SAID_LIMIT),
        (None, None) if body.trim_ascii_start().starts_with(b"<") => String::new(),
        (None, None) => tame(&String::from_utf8_lossy(body), SAID_LIMIT),
    }
}

/// Why a registry did not give what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    #[error("{asked} was not found: {said}")]
    NotFound {
        asked: RequestedObject,
        said: ErrorResponse,
    },
    #[error("{asked} needs a credential and none was given: {said}")]
    NoCredential {
        asked: RequestedObject,
        said: ErrorResponse,
    },
    #[error("{asked} was refused with this credential: {said}")]
    WrongCredential {
        asked: RequestedObject,
        said: ErrorResponse,
    },
    #[error(
        "{asked} was refused, credential ended (the one that came with the request is not taken any more): {said}"
    )]
    CredentialEnded {
        asked: RequestedObject,
        said: ErrorResponse,
    },
    #[error("{asked} is forbidden to this credential: {said}")]
    Forbidden {
        asked: RequestedObject,
        said: ErrorResponse,
    },
    #[error("{asked} was put off, too many requests{}: {said}", when(.retry_after.as_ref()))]
    TooManyRequests {
        asked: RequestedObject,
        said: ErrorResponse,
        retry_after: Option<Duration>,
    },
    #[error("{asked} failed{}: {said}", when(.retry_after.as_ref()))]
    ServerError {
        asked: RequestedObject,
        said: ErrorResponse,
        retry_after: Option<Duration>,
    },
    #[error("{asked} got an unexpected answer: {said}")]
    Unexpected {
        asked: RequestedObject,
        said: ErrorResponse,
    },
    #[error("{asked} cannot be fetched, the registry cannot be reached: {cause}")]
    Unreachable { asked: RequestedObject, cause: String },
    #[error("{asked} cannot be fetched: no {awaited} within {} s", .limit.as_secs_f32())]
    TimedOut {
        asked: RequestedObject,
        awaited: &'static str,
        limit: Duration,
    },
    #[error("{asked} broke off after {received} bytes: {cause}")]
    CutShort {
        asked: RequestedObject,
        received: u64,
        cause: String,
    },
    #[error("{asked} came with other bytes than its digest promises: they are {found}, not {expected}")]
    WrongBytes {
        asked: RequestedObject,
        expected: Box<Digest>,
        found: Box<Digest>,
    },
    #[error("{asked} is larger than {limit} bytes")]
    TooLarge { asked: RequestedObject, limit: usize },
    #[error("{asked} got an answer that cannot be used: {what}")]
    BadAnswer { asked: RequestedObject, what: String },
    #[error("{asked} was redirected to {host}, and refused there, also after asking anew, with status {}", .said.status)]
    StorageRefused {
        asked: RequestedObject,
        host: String,
        said: ErrorResponse,
    },
    #[error("{asked} had no turn for {} s: all {limit} connections to the registry were in use", .waited.as_secs_f32())]
    NoFreeConnection {
        asked: RequestedObject,
        limit: NonZeroU32,
        waited: Duration,
    },
    #[error("{asked} cannot be signed in for, its credential cannot be looked up: {cause}")]
    NoLookup {
        asked: RequestedObject,
        cause: LookupError,
    },
    #[error("{asked} was redirected to where we do not go: {what}")]
    BadRedirect { asked: RequestedObject, what: String },
    #[error("{asked} cannot be signed in for: {realm}")]
    UnsafeRealm {
        asked: RequestedObject,
        realm: Box<BadRealm>,
    },
    #[error("{asked} is not asked for: {refused}")]
    NotAllowed {
        asked: RequestedObject,
        refused: Box<NotAllowed>,
        /// A redirect or a token realm led there, not the registry's own name.
        by_registry: bool,
    },
    #[error("{registry}: {cause}")]
    Setup { registry: RegistryName, cause: String },
}

/// What of `Retry-After` was not waited for.
fn when(retry_after: Option<&Duration>) -> String {
    retry_after.map_or_else(String::new, |wait| {
        format!(" (to be asked again in {} s)", wait.as_secs_f32())
    })
}

impl RegistryError {
    /// Whose side it lies on.
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
            | Self::Setup { .. } => Side::Caller,
            Self::Unreachable { .. } | Self::TimedOut { .. } | Self::CutShort { .. } => Side::Network,
            _ => Side::Registry,
        }
    }

    /// Might the same request succeed in a while?
    pub fn is_worth_retrying(&self) -> bool {
        match self {
            Self::TooManyRequests { .. }
            | Self::ServerError { .. }
            | Self::TimedOut { .. }
            | Self::CutShort { .. }
            | Self::StorageRefused { .. }
            | Self::NoFreeConnection { .. }
            | Self::NoLookup { .. }
            | Self::WrongBytes { .. } => true,
            Self::Unreachable { cause, .. } => !is_about_certificates(cause) && !wants_our_certificate(cause),
            _ => false,
        }
    }

    /// The registry gave no answer of its own: not reached, too slow, broken off, a 5xx, or its storage refused us.
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

    /// How long the registry asked us to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::TooManyRequests { retry_after, .. } | Self::ServerError { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The status that the registry answered with, if it did.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::NotFound { said, .. }
            | Self::NoCredential { said, .. }
            | Self::WrongCredential { said, .. }
            | Self::CredentialEnded { said, .. }
            | Self::Forbidden { said, .. }
            | Self::TooManyRequests { said, .. }
            | Self::ServerError { said, .. }
            | Self::Unexpected { said, .. } => Some(said.status),
            _ => None,
        }
    }

    /// The same in a word, for spans and counts: one of few, whatever was asked.
    pub fn error_type(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "not_found",
            Self::NoCredential { .. } => "no_credential",
            Self::WrongCredential { .. } => "wrong_credential",
            Self::CredentialEnded { .. } => "credential_ended",
            Self::Forbidden { .. } => "forbidden",
            Self::TooManyRequests { .. } => "too_many_requests",
            Self::ServerError { .. } => "server_error",
            Self::Unexpected { .. } => "unexpected_answer",
            Self::Unreachable { .. } => "unreachable",
            Self::TimedOut { .. } => "timeout",
            Self::CutShort { .. } => "cut_short",
            Self::WrongBytes { .. } => "wrong_bytes",
            Self::TooLarge { .. } => "too_large",
            Self::BadAnswer { .. } => "bad_answer",
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

/// What a server says in the handshake to who shows none, or one that it does not know.
pub(crate) fn wants_our_certificate(cause: &str) -> bool {
    let cause = cause.to_ascii_lowercase().replace(' ', "");
    ["certificaterequired", "alert:badcertificate", "alert:unknownca"]
        .iter()
        .any(|alert| cause.contains(alert))
}

pub(crate) fn is_about_certificates(cause: &str) -> bool {
    cause.contains("certificate")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_registry_says_is_tamed_and_bounded() {
        let hostile = format!(
            "{{\"errors\":[{{\"code\":\"X\\u001b[2J\",\"message\":\"{}\"}}]}}",
            "y\\n".repeat(5_000)
        );
        let said = ErrorResponse::new(500, hostile.as_bytes());
        assert!(said.words.starts_with("X [2J: y y"), "{said}");
        assert!(said.words.chars().count() <= SAID_LIMIT + 1);
        assert!(!said.words.contains(char::is_control));
    }

    #[test]
    fn pages_for_browsers_are_left_out() {
        assert_eq!(
            ErrorResponse::new(502, b" <html>bad gateway</html>").to_string(),
            "the registry said 502"
        );
    }

    #[test]
    fn plain_text_and_other_shapes_are_repeated() {
        assert_eq!(ErrorResponse::new(429, b"slow down").words, "slow down");
        assert_eq!(
            ErrorResponse::new(401, br#"{"details":"incorrect username or password"}"#).words,
            "incorrect username or password"
        );
    }
}
