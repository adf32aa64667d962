//! `Retry-After`: how long a registry asks us to wait, and whether a call may wait that long.
//!
//! **Invariant:** one call waits at most [`crate::RegistryLimits::retry_wait`] in all. A longer wait goes to the caller
//! as an error with the time that the registry asks for.

use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use tokio::time::sleep;

use super::client::Registry;
use super::request::Request;
use super::response::RegistryResponse;
use crate::{RegistryError, Secret};

const LONGEST: Duration = Duration::from_secs(3_600);
/// Prevents a busy loop if a registry says 0.
const SHORTEST: Duration = Duration::from_millis(200);

impl Registry {
    /// Sends, and retries after `Retry-After` if that is soon enough.
    pub(super) async fn send_patiently(
        &self,
        request: &Request,
        authorization: Option<&Secret>,
    ) -> Result<RegistryResponse, RegistryError> {
        loop {
            let mut answer = self.send(request, authorization).await?;
            if let Some(goes_again) = self.refused_by_count(request, &mut answer).await {
                if goes_again {
                    // The next send waits for its place.
                    continue;
                }
                return Ok(answer);
            }
            let Some(pause) = self.pause_after(request, &answer) else {
                return Ok(answer);
            };
            // Frees the connection for others during the pause.
            drop(answer);
            sleep(pause).await;
        }
    }

    /// Returns how long to wait before a retry; `None` if there is no retry.
    pub(super) fn pause_after(&self, request: &Request, answer: &RegistryResponse) -> Option<Duration> {
        let is_put_off = matches!(
            answer.status(),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
        );
        let pause = retry_after(answer.headers())
            .filter(|_| is_put_off)?
            .max(SHORTEST);
        request
            .history
            .waited
            .allows(pause, self.inner.limits.retry_wait)
            .then_some(pause)
    }
}

/// Reads `Retry-After`: seconds or a date; at most one hour.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => until(text, headers)?,
    };
    Some(wait.min(LONGEST))
}

/// Uses the registry's clock from its `Date` header, because ours may differ.
#[expect(
    clippy::disallowed_methods,
    reason = "without the registry's `Date` only the machine's clock is left"
)]
fn until(date: &str, headers: &HeaderMap) -> Option<Duration> {
    let parse = |text: &str| OffsetDateTime::parse(text, &Rfc2822).ok();
    let there = headers.get(header::DATE).and_then(|value| value.to_str().ok());
    let now = there.and_then(parse).unwrap_or_else(OffsetDateTime::now_utc);
    let left = parse(date)? - now;
    Some(Duration::try_from(left).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn wait(retry_after: &'static str, date: Option<&'static str>) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static(retry_after));
        if let Some(date) = date {
            headers.insert(header::DATE, HeaderValue::from_static(date));
        }
        super::retry_after(&headers)
    }

    #[test]
    fn seconds_and_dates_are_read() {
        assert_eq!(wait("7", None), Some(Duration::from_secs(7)));
        let at_noon = Some("Sat, 21 Nov 2026 12:00:00 GMT");
        assert_eq!(
            wait("Sat, 21 Nov 2026 12:00:09 GMT", at_noon),
            Some(Duration::from_secs(9))
        );
        assert_eq!(
            wait("Sat, 21 Nov 2026 11:00:00 GMT", at_noon),
            Some(Duration::ZERO)
        );
        assert_eq!(wait("Sat, 21 Nov 2009 11:00:00 GMT", None), Some(Duration::ZERO));
    }

    #[test]
    fn a_wait_is_bounded_and_junk_is_ignored() {
        assert_eq!(wait("99999999999", None), Some(LONGEST));
        for junk in ["", "soon", "-1", "1.5", "Sat, 99 Nov 2026 12:00:00 GMT"] {
            assert_eq!(wait(junk, None), None, "{junk}");
        }
    }
}
