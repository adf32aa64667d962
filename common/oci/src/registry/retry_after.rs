//! `Retry-After`: how long a registry asks us to wait, and whether one call has the time for it.
//!
//! **Invariant:** one call of ours waits for [`crate::RegistryLimits::retry_wait`] in all and not longer. What does not fit in
//! goes to the caller as an error that says how long the registry wants us to wait.

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
/// A registry that says 0 is not asked in a circle.
const SHORTEST: Duration = Duration::from_millis(200);

impl Registry {
    /// Sends, and sends again when the registry says when, and that is soon.
    pub(super) async fn send_patiently(
        &self,
        request: &Request,
        authorization: Option<&Secret>,
    ) -> Result<RegistryResponse, RegistryError> {
        loop {
            let answer = self.send(request, authorization).await?;
            let Some(pause) = self.pause_after(request, &answer) else {
                return Ok(answer);
            };
            // Its connection is somebody else's meanwhile.
            drop(answer);
            sleep(pause).await;
        }
    }

    /// How long to wait before the same is asked again; none when it is not to be.
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

/// Reads `Retry-After`: seconds, or a date; an hour at most.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => until(text, headers)?,
    };
    Some(wait.min(LONGEST))
}

/// By the registry's own clock, which it sends along: ours may differ.
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
    fn nobody_waits_for_an_endless_time_or_for_junk() {
        assert_eq!(wait("99999999999", None), Some(LONGEST));
        for junk in ["", "soon", "-1", "1.5", "Sat, 99 Nov 2026 12:00:00 GMT"] {
            assert_eq!(wait(junk, None), None, "{junk}");
        }
    }
}
