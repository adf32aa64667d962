//! A registry that refuses by count: it serves only so many requests at once, and answers others with 429 or 503.
//!
//! **Invariant:** a limit on requests per time is not taken for one, and a registry that serves nothing is not called
//! busy for longer than [`DEAD_AFTER`].

use std::time::Duration;

use http::{HeaderMap, StatusCode};

use super::client::Registry;
use super::connection_slots::ConnectionSlot;
use super::exchange::read_refusal;
use super::request::Request;
use super::response::RegistryResponse;
use super::retry_after::retry_after;
use super::widths::{LineKey, NoPlace};
use crate::{ErrorResponse, RegistryError};

/// A registry that has answered nothing but 503 for this long has failed.
const DEAD_AFTER: Duration = Duration::from_secs(60);
/// Who asks for a longer wait limits requests per time.
const LONGEST_WAIT: Duration = Duration::from_secs(600);
/// Headers that say how many requests are left in a period.
const LEFT: [&str; 2] = ["ratelimit-remaining", "x-ratelimit-remaining"];
/// Words for a limit on requests per time.
const RATE_WORDS: [&str; 3] = ["rate limit", "ratelimit", "quota"];

impl Registry {
    /// Waits for the slot of one request. Callers that may wait have a place among those that the registry allows.
    pub(super) async fn slot(&self, request: &Request) -> Result<ConnectionSlot, RegistryError> {
        let turn = &request.history.turn;
        let counted = self
            .patience
            .zip(turn.account())
            .filter(|_| request.kind != "token");
        let place = match counted {
            None => None,
            Some((patience, account)) => {
                let key = LineKey {
                    registry: self.name().clone(),
                    account: account.clone(),
                };
                let (not_before, deadline) = (turn.not_before(), turn.deadline(patience));
                let widths = &self.inner.widths;
                let place = widths.place(&key, project_of(request), not_before, deadline);
                place.await.map_err(|none| too_many(request, &none))?
            }
        };
        let wait = self.inner.limits.connection_wait;
        let mut slot = self.inner.slots.next(&request.requested, wait).await?;
        slot.place = place;
        Ok(slot)
    }

    /// Narrows the width if the registry refused by count. Returns whether the request may be sent again; `None` if it
    /// was not refused by count.
    pub(super) async fn refused_by_count(
        &self,
        request: &Request,
        answer: &mut RegistryResponse,
    ) -> Option<bool> {
        let patience = self.patience?;
        // Another host's pages say nothing about the registry, but its storage may serve so many blobs at once.
        let speaks_for_it = answer.elsewhere().is_none() || request.kind == "blob";
        if !speaks_for_it || !may_refuse_by_count(answer.status()) || answer.slot.place.is_none() {
            return None;
        }
        let response = read_refusal(answer).await;
        let retry_after = retry_after(answer.headers());
        let (status, headers) = (answer.status(), answer.headers());
        let place = answer.slot.place.as_ref()?;
        let plain_counts = if self.counts_plain_503 {
            place.unserved_for() < DEAD_AFTER
        } else {
            !place.is_alone()
        };
        let is_by_count = is_by_count(status, headers, &response, plain_counts);
        answer.refusal = Some(response);
        if !is_by_count {
            return None;
        }
        answer.allows = answer.slot.place.take().map(|place| place.refused(retry_after));
        Some(
            request
                .history
                .turn
                .again(retry_after.unwrap_or_default(), patience),
        )
    }
}

impl ConnectionSlot {
    /// Notes whether the request is served. After a redirect, the response of its target decides.
    pub(super) fn answered(&mut self, status: StatusCode) {
        if let Some(place) = self.place.as_mut().filter(|_| status.is_success()) {
            place.served();
        }
    }
}

/// Returns the first segment of the repository: a project of Harbor.
fn project_of(request: &Request) -> &str {
    let repository = request.repository.as_str();
    repository
        .split_once('/')
        .map_or(repository, |(project, _)| project)
}

fn too_many(request: &Request, none: &NoPlace) -> RegistryError {
    RegistryError::TooManyAtOnce {
        requested: request.requested.clone(),
        allows: none.allows,
        response: None,
        retry_after: None,
    }
}

fn may_refuse_by_count(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
    )
}

/// Whether the number of requests in flight is the reason. `plain_counts`: whether a 503 that names no time is.
fn is_by_count(
    status: StatusCode,
    headers: &HeaderMap,
    response: &ErrorResponse,
    plain_counts: bool,
) -> bool {
    let asked = retry_after(headers);
    if asked.is_some_and(|wait| wait > LONGEST_WAIT) || is_by_rate(headers, &response.words) {
        return false;
    }
    status == StatusCode::TOO_MANY_REQUESTS || asked.is_some() || plain_counts
}

/// Whether the registry limits requests per time: fewer requests at once would not help.
fn is_by_rate(headers: &HeaderMap, words: &str) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let none_left = |value: &str| value.split(';').next().is_some_and(|left| left.trim() == "0");
    let words = words.to_ascii_lowercase();
    LEFT.into_iter().filter_map(text).any(none_left) || RATE_WORDS.iter().any(|word| words.contains(word))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn decided(
        status: u16,
        header: Option<(&'static str, &'static str)>,
        words: &str,
        plain_counts: bool,
    ) -> bool {
        let mut headers = HeaderMap::new();
        if let Some((name, value)) = header {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let response = ErrorResponse {
            status,
            words: words.to_owned(),
        };
        let status = StatusCode::from_u16(status).unwrap();
        is_by_count(status, &headers, &response, plain_counts)
    }

    #[test]
    fn a_429_is_by_count_unless_it_speaks_of_a_rate() {
        assert!(decided(
            429,
            None,
            "TOOMANYREQUESTS: too many requests to upstream registry",
            false
        ));
        assert!(decided(429, Some(("retry-after", "30")), "", false));
        assert!(decided(
            429,
            Some(("ratelimit-remaining", "76;w=21600")),
            "",
            true
        ));
        assert!(!decided(
            429,
            None,
            "TOOMANYREQUESTS: You have reached your pull rate limit.",
            true
        ));
        assert!(!decided(
            429,
            Some(("ratelimit-remaining", "0;w=21600")),
            "",
            true
        ));
        assert!(!decided(429, Some(("retry-after", "3600")), "", true));
    }

    #[test]
    fn a_503_is_by_count_while_the_registry_serves_something() {
        assert!(decided(503, None, "", true));
        assert!(decided(503, Some(("retry-after", "2")), "", false));
        assert!(!decided(503, None, "", false));
    }
}
