//! Why one question got no answer: a 429, a single 5xx, a storage's refusal, a bad redirect, no free connection.
//!
//! **Invariant:** a failure concerns only its own question (credential, location, object). A 429 and a 408 are kept and
//! repeated from memory, because containerd retries them at once.

use std::time::Duration;

use http::StatusCode;
use oci::{FromElsewhere, Location, RegistryError, RegistryName, retry_after};
use tokio::time::Instant;
use wire::Side;

use super::caller_key::CallerKey;
use crate::expiring_map::ExpiringMap;

/// For a 429 without `Retry-After`.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(10);
const KEPT: usize = 10_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(super) status: Option<StatusCode>,
    pub(super) retry_after: Option<Duration>,
    pub(super) text: String,
    pub(super) side: Side,
    /// It came from the storage that the registry redirected to.
    pub(super) by_storage: bool,
}

/// Returns whether the registry, or a server behind it, failed. A 501 is no failure: the method is not supported.
pub(super) fn is_trouble(status: StatusCode) -> bool {
    status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED
}

/// Returns whether runtimes retry this status at once.
pub(super) fn is_rate_limit(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT
    )
}

impl Failure {
    pub(super) fn of_response(registry: &RegistryName, response: &reqwest::Response) -> Self {
        let status = response.status();
        let what_to_do = if is_rate_limit(status) {
            "wait, or use an account with a higher limit"
        } else {
            "pull again, or read the registry's log"
        };
        Self {
            status: Some(status),
            retry_after: retry_after(response.headers()),
            text: format!(
                "registry {registry} answered {} to this request: {what_to_do}",
                status.as_u16()
            ),
            side: Side::Registry,
            by_storage: response.extensions().get::<FromElsewhere>().is_some(),
        }
    }

    pub(super) fn of_error(error: &RegistryError) -> Self {
        let side = match error {
            RegistryError::NoFreeConnection { .. } => Side::Peer,
            _ => match error.side() {
                oci::Side::Caller => Side::Caller,
                oci::Side::Registry => Side::Registry,
                oci::Side::Network => Side::Network,
            },
        };
        Self {
            status: None,
            retry_after: error.retry_after(),
            text: error.to_string(),
            side,
            by_storage: matches!(error, RegistryError::StorageRefused { .. }),
        }
    }

    /// Returns the status for the caller: a rate limit as the registry sent it, otherwise a 502 or 503 of ours.
    pub(super) fn passed_status(&self) -> StatusCode {
        match (self.status, self.side) {
            (Some(status), _) if is_rate_limit(status) => status,
            (Some(StatusCode::SERVICE_UNAVAILABLE), _) | (None, Side::Network | Side::Peer) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            _ => StatusCode::BAD_GATEWAY,
        }
    }

    /// The registry's response cannot be used.
    pub(super) fn of_registry(text: impl Into<String>) -> Self {
        Self::new(Side::Registry, text)
    }

    pub(super) fn of_network(text: impl Into<String>) -> Self {
        Self::new(Side::Network, text)
    }

    fn new(side: Side, text: impl Into<String>) -> Self {
        Self {
            status: None,
            retry_after: None,
            text: text.into(),
            side,
            by_storage: false,
        }
    }
}

/// One question: the caller that the registry sees, the location, and the object.
pub(super) type QuestionKey = (CallerKey, Location, String);

/// Failures of questions that the registry answered with 429 or 408.
pub(super) struct RateLimited(ExpiringMap<QuestionKey, (Failure, Instant)>);

impl Default for RateLimited {
    fn default() -> Self {
        Self(ExpiringMap::new(KEPT))
    }
}

impl RateLimited {
    /// Returns the failure, with the rest of its `Retry-After`.
    pub(super) fn failure(&self, key: &QuestionKey) -> Option<Failure> {
        self.failure_at(key, Instant::now())
    }

    fn failure_at(&self, key: &QuestionKey, now: Instant) -> Option<Failure> {
        let (failure, until) = self.0.get(key, now)?;
        Some(Failure {
            retry_after: Some(until.saturating_duration_since(now)),
            ..failure
        })
    }

    pub(super) fn remember(&self, key: QuestionKey, failure: &Failure) {
        if !failure.status.is_some_and(is_rate_limit) {
            return;
        }
        self.remember_at(key, failure, Instant::now());
    }

    fn remember_at(&self, key: QuestionKey, failure: &Failure, now: Instant) {
        let until = now + failure.retry_after.unwrap_or(DEFAULT_RETRY_AFTER);
        self.0.insert(key, (failure.clone(), until), until, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::caller_key::Keyring;

    fn key(user: &str, object: &str) -> QuestionKey {
        let location = "https://reg.lan/v2/a".parse().expect("a location");
        (
            Keyring::new(&[1; 32]).account(user, "pw"),
            location,
            object.to_owned(),
        )
    }

    fn failure(status: u16, retry_after: Option<u64>) -> Failure {
        Failure {
            status: Some(StatusCode::from_u16(status).expect("a status")),
            retry_after: retry_after.map(Duration::from_secs),
            ..Failure::of_registry("no")
        }
    }

    #[test]
    fn a_rate_limit_is_kept_for_its_own_question_until_its_end() {
        let (began, seconds) = (Instant::now(), Duration::from_secs);
        for (retry_after, lasts) in [(Some(30), 30), (None, 10)] {
            let limited = RateLimited::default();
            limited.remember_at(key("ann", "v1"), &failure(429, retry_after), began);
            assert_eq!(limited.failure_at(&key("bob", "v1"), began), None);
            assert_eq!(limited.failure_at(&key("ann", "v2"), began), None);
            let later = began + seconds(lasts - 1);
            let again = limited.failure_at(&key("ann", "v1"), later).expect("remembered");
            assert_eq!(again.retry_after, Some(seconds(1)));
            assert_eq!(
                limited.failure_at(&key("ann", "v1"), began + seconds(lasts)),
                None
            );
        }
    }

    #[test]
    fn a_5xx_is_asked_again_at_once() {
        let limited = RateLimited::default();
        limited.remember(key("ann", "v1"), &failure(503, Some(30)));
        assert_eq!(limited.failure(&key("ann", "v1")), None);
    }
}
