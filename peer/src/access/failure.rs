//! What kept one question from an answer: a 429, a single 5xx, a storage's refusal, a bad redirect, no free connection.
//!
//! **Invariant:** a failure belongs to its question (credential, location, object) and is nobody else's. A 429 and a 408
//! are remembered for that question and answered from memory, because containerd repeats them at once.

use std::time::Duration;

use http::StatusCode;
use oci::{FromElsewhere, Location, RegistryError, RegistryName, retry_after};
use tokio::time::Instant;
use wire::Side;

use super::caller_key::CallerKey;
use crate::expiring_map::ExpiringMap;

/// A 429 without `Retry-After` is remembered for this long.
const RETRY_AFTER_UNLESS_SAID: Duration = Duration::from_secs(10);
const KEPT: usize = 10_000;

/// Why one question has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(super) status: Option<StatusCode>,
    pub(super) retry_after: Option<Duration>,
    pub(super) text: String,
    pub(super) side: Side,
    /// The storage to which the registry had led said it.
    pub(super) by_storage: bool,
}

/// The registry or what is behind it has trouble. A 501 says that it never does what was asked.
pub(super) fn is_trouble(status: StatusCode) -> bool {
    status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED
}

/// What runtimes repeat at once.
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
            "ask again, or read the registry's log"
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
            RegistryError::NoTurn { .. } => Side::Peer,
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

    /// The status that the caller gets: what the registry said of rate limits, and 5xx in our own words.
    pub(super) fn passed_status(&self) -> StatusCode {
        match (self.status, self.side) {
            (Some(status), _) if is_rate_limit(status) => status,
            (Some(StatusCode::SERVICE_UNAVAILABLE), _) | (None, Side::Network | Side::Peer) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            _ => StatusCode::BAD_GATEWAY,
        }
    }

    /// An answer came and cannot be used.
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

/// One question: who is shown to the registry, where, and what is asked for.
pub(super) type QuestionKey = (CallerKey, Location, String);

/// Questions that the registry answered with 429 or 408.
pub(super) struct RateLimited(ExpiringMap<QuestionKey, (Failure, Instant)>);

impl Default for RateLimited {
    fn default() -> Self {
        Self(ExpiringMap::new(KEPT))
    }
}

impl RateLimited {
    /// The failure again, with what is left of its `Retry-After`.
    pub(super) fn failure(&self, asked: &QuestionKey) -> Option<Failure> {
        self.failure_at(asked, Instant::now())
    }

    fn failure_at(&self, asked: &QuestionKey, now: Instant) -> Option<Failure> {
        let (failure, until) = self.0.get(asked, now)?;
        Some(Failure {
            retry_after: Some(until.saturating_duration_since(now)),
            ..failure
        })
    }

    pub(super) fn remember(&self, asked: QuestionKey, failure: &Failure) {
        if !failure.status.is_some_and(is_rate_limit) {
            return;
        }
        self.remember_at(asked, failure, Instant::now());
    }

    fn remember_at(&self, asked: QuestionKey, failure: &Failure, now: Instant) {
        let until = now + failure.retry_after.unwrap_or(RETRY_AFTER_UNLESS_SAID);
        self.0.insert(asked, (failure.clone(), until), until, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::caller_key::Keyring;

    fn asked(user: &str, object: &str) -> QuestionKey {
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
    fn a_rate_limit_is_remembered_for_its_own_question_until_its_time() {
        let (began, seconds) = (Instant::now(), Duration::from_secs);
        for (said, lasts) in [(Some(30), 30), (None, 10)] {
            let limited = RateLimited::default();
            limited.remember_at(asked("ann", "v1"), &failure(429, said), began);
            assert_eq!(limited.failure_at(&asked("bob", "v1"), began), None);
            assert_eq!(limited.failure_at(&asked("ann", "v2"), began), None);
            let later = began + seconds(lasts - 1);
            let again = limited
                .failure_at(&asked("ann", "v1"), later)
                .expect("remembered");
            assert_eq!(again.retry_after, Some(seconds(1)));
            assert_eq!(
                limited.failure_at(&asked("ann", "v1"), began + seconds(lasts)),
                None
            );
        }
    }

    #[test]
    fn a_5xx_is_asked_again_at_once() {
        let limited = RateLimited::default();
        limited.remember(asked("ann", "v1"), &failure(503, Some(30)));
        assert_eq!(limited.failure(&asked("ann", "v1")), None);
    }
}
