//! One request to a registry and its history.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, header};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{Credential, Digest, RegistryError, Repository, RequestedObject, Secret};

/// The template of every redirect target: its path may contain secrets.
pub(super) const REDIRECTED: &str = "{redirect}";

/// One request. Every field may appear in a span.
pub(super) struct Request {
    pub(super) method: Method,
    /// `manifest`, `blob`, `list`, `version` or `token`.
    pub(super) kind: &'static str,
    pub(super) template: &'static str,
    /// Behind `/v2/`.
    pub(super) path: String,
    pub(super) repository: Repository,
    pub(super) image: String,
    pub(super) accept: String,
    /// The first requested byte.
    pub(super) from: u64,
    /// One past the last requested byte; by default the end.
    pub(super) until: Option<u64>,
    pub(super) requested: RequestedObject,
    /// Time limit for the headers of one response, if the caller sets it.
    pub(super) header_wait: Option<Duration>,
    pub(super) history: History,
}

/// What happened to a request so far.
#[derive(Default)]
pub(super) struct History {
    pub(super) waited: RetryBudget,
    pub(super) turn: Turn,
    sent: AtomicU32,
    signed_in: AtomicBool,
}

impl History {
    /// Notes that the request now carries an `Authorization` that was fetched for it.
    pub(super) fn has_signed_in(&self) {
        self.signed_in.store(true, Ordering::Relaxed);
    }

    pub(super) fn signed_in(&self) -> bool {
        self.signed_in.load(Ordering::Relaxed)
    }

    /// Counts one more send and returns how many there were before.
    pub(super) fn resent(&self) -> u32 {
        self.sent.fetch_add(1, Ordering::Relaxed)
    }
}

impl Request {
    pub(super) fn headers(&self, authorization: Option<&Secret>) -> Result<HeaderMap, RegistryError> {
        let mut headers = HeaderMap::new();
        let unusable = |what: &str| RegistryError::BadAnswer {
            requested: self.requested.clone(),
            what: what.to_owned(),
        };
        if !self.accept.is_empty() {
            let accept = HeaderValue::from_str(&self.accept)
                .map_err(|_| unusable("the Accept value has invalid characters"))?;
            headers.insert(header::ACCEPT, accept);
        }
        if let Some(range) = self.range() {
            headers.insert(
                header::RANGE,
                HeaderValue::from_str(&range).map_err(|_| unusable("the range is invalid"))?,
            );
        }
        if let Some(secret) = authorization {
            headers.insert(header::AUTHORIZATION, sensitive(secret, &self.requested)?);
        }
        Ok(headers)
    }

    fn range(&self) -> Option<String> {
        match (self.from, self.until) {
            (0, None) => None,
            (from, None) => Some(format!("bytes={from}-")),
            (from, Some(until)) => Some(format!("bytes={from}-{}", until.saturating_sub(1))),
        }
    }
}

/// Returns an `Authorization` value that HTTP libraries do not print.
pub(super) fn sensitive(secret: &Secret, requested: &RequestedObject) -> Result<HeaderValue, RegistryError> {
    let mut value = HeaderValue::from_str(secret.expose()).map_err(|_| RegistryError::BadAnswer {
        requested: requested.clone(),
        what: "the credential has characters that are invalid in a header".into(),
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// Whose request it is, and how long it may wait for its turn at a registry that refuses by count.
#[derive(Default)]
pub(super) struct Turn {
    account: OnceLock<Digest>,
    deadline: OnceLock<Instant>,
    not_before: Mutex<Option<Instant>>,
}

impl Turn {
    /// Notes for whom the request is sent. Only such requests are counted.
    pub(super) fn is_of(&self, credential: &Credential) {
        let _ = self.account.set(credential.account());
    }

    pub(super) fn account(&self) -> Option<&Digest> {
        self.account.get()
    }

    /// Returns the end of all waits of this request together.
    pub(super) fn deadline(&self, patience: Duration) -> Instant {
        *self.deadline.get_or_init(|| Instant::now() + patience)
    }

    pub(super) fn not_before(&self) -> Instant {
        self.not_before.lock().unwrap_or_else(Instant::now)
    }

    /// Notes a refusal by count. Returns whether there is time to be sent again.
    pub(super) fn again(&self, pause: Duration, patience: Duration) -> bool {
        let at = Instant::now() + pause;
        *self.not_before.lock() = Some(at);
        at < self.deadline(patience)
    }
}

/// How long one call has waited already.
#[derive(Default)]
pub(super) struct RetryBudget(AtomicU64);

impl RetryBudget {
    /// Takes `pause` from what is left of `retry_wait`, if it fits.
    pub(super) fn allows(&self, pause: Duration, retry_wait: Duration) -> bool {
        let (pause, retry_wait) = (millis(pause), millis(retry_wait));
        let take = |waited: u64| waited.checked_add(pause).filter(|sum| *sum <= retry_wait);
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .is_ok()
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_that_was_waited_reduces_the_budget() {
        let waited = RetryBudget::default();
        let seconds = Duration::from_secs;
        assert!(waited.allows(seconds(6), seconds(10)));
        assert!(!waited.allows(seconds(6), seconds(10)));
        assert!(waited.allows(seconds(4), seconds(10)));
    }
}
