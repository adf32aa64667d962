//! Compares our clock with a server's, by the `Date` of its response.

use time::PrimitiveDateTime;
use time::macros::format_description;

use super::finding::Finding;

const NOTICED_S: i64 = 5;
/// Tokens carry times: a machine whose clock is further off refuses them.
const TOO_MUCH_S: i64 = 60;

/// The `Date` of a response, and the times of request and response.
pub(super) struct DatedResponse {
    pub(super) date: Option<String>,
    pub(super) sent_ms: i64,
    pub(super) received_ms: i64,
}

/// Returns `None` if the response has no readable date.
pub(super) fn check(server: &str, response: &DatedResponse) -> Option<Finding> {
    let theirs = unix_seconds(response.date.as_deref()?)?;
    Some(finding(
        server,
        ahead_s(theirs, response.sent_ms, response.received_ms),
    ))
}

/// `Sat, 21 Nov 2026 16:00:00 GMT`
fn unix_seconds(date: &str) -> Option<i64> {
    let form = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    let date = PrimitiveDateTime::parse(date, form).ok()?;
    Some(date.assume_utc().unix_timestamp())
}

/// Returns by how much their clock is at least ahead of ours. `Date` has whole seconds, and was written at some time
/// between request and response.
fn ahead_s(theirs_s: i64, sent_ms: i64, received_ms: i64) -> i64 {
    let (first, last) = (theirs_s * 1_000, theirs_s * 1_000 + 999);
    if first > received_ms {
        return (first - received_ms + 999) / 1_000;
    }
    if last < sent_ms {
        return -((sent_ms - last + 999) / 1_000);
    }
    0
}

fn finding(server: &str, ahead: i64) -> Finding {
    let what = format!("clock, compared with {server}");
    let off = ahead.abs();
    let direction = if ahead > 0 { "behind" } else { "ahead" };
    let found = format!("ours is {off} s {direction}");
    let to_do = "synchronise both clocks by NTP (timedatectl set-ntp true): with more than a minute between them, tokens are \
                 refused";
    if off > TOO_MUCH_S {
        Finding::fail(what, found, to_do)
    } else if off > NOTICED_S {
        Finding::warn(what, found, to_do)
    } else {
        Finding::ok(what, format!("less than {NOTICED_S} s apart"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    const DATE: &str = "Sat, 21 Nov 2026 10:18:08 GMT";
    const MS: i64 = 1_795_256_288_000;

    fn response_of(sent_ms: i64) -> DatedResponse {
        DatedResponse {
            date: Some(DATE.to_owned()),
            sent_ms,
            received_ms: sent_ms + 200,
        }
    }

    fn at(sent_ms: i64) -> Finding {
        check("r.lan", &response_of(sent_ms)).expect("a date")
    }

    #[test]
    fn a_date_within_the_second_is_no_difference() {
        for asked in [MS - 200, MS, MS + 999] {
            assert_eq!(ahead_s(MS / 1_000, asked, asked + 200), 0, "{asked}");
        }
    }

    #[test]
    fn a_minute_is_a_failure_and_some_seconds_are_a_warning() {
        assert_eq!(at(MS + 4_000).verdict, Verdict::Ok);
        assert_eq!(at(MS + 8_000).verdict, Verdict::Warn);
        assert_eq!(at(MS + 70_000).verdict, Verdict::Fail);
        assert_eq!(at(MS - 70_000).verdict, Verdict::Fail);
    }

    #[test]
    fn the_finding_names_the_direction() {
        assert!(at(MS + 70_000).found.contains("ahead"), "{:?}", at(MS + 70_000));
        assert!(at(MS - 70_200).found.contains("behind"), "{:?}", at(MS - 70_200));
    }

    #[test]
    fn a_response_without_a_date_is_no_finding() {
        let without = DatedResponse {
            date: None,
            ..response_of(MS)
        };
        assert!(check("r.lan", &without).is_none());
        let junk = DatedResponse {
            date: Some("yesterday".to_owned()),
            ..response_of(MS)
        };
        assert!(check("r.lan", &junk).is_none());
    }
}
