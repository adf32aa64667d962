//! Clocks: ours beside that of a server, by the `Date` of its answer.

use time::PrimitiveDateTime;
use time::macros::format_description;

use super::finding::Finding;

const NOTICED_S: i64 = 5;
/// Tokens carry times, and are refused on a machine whose clock is further off.
const TOO_MUCH_S: i64 = 60;

/// The `Date` of a response, and the times of request and response.
pub(super) struct Answered {
    pub(super) date: Option<String>,
    pub(super) asked_ms: i64,
    pub(super) heard_ms: i64,
}

/// None: the answer has no date.
pub(super) fn check(server: &str, heard: &Answered) -> Option<Finding> {
    let theirs = unix_seconds(heard.date.as_deref()?)?;
    Some(finding(server, ahead_s(theirs, heard.asked_ms, heard.heard_ms)))
}

/// `Sat, 21 Nov 2026 16:00:00 GMT`
fn unix_seconds(date: &str) -> Option<i64> {
    let form = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    let date = PrimitiveDateTime::parse(date, form).ok()?;
    Some(date.assume_utc().unix_timestamp())
}

/// How far their clock is ahead of ours, at least: they said whole seconds, somewhere between our two moments.
fn ahead_s(theirs_s: i64, asked_ms: i64, heard_ms: i64) -> i64 {
    let (first, last) = (theirs_s * 1_000, theirs_s * 1_000 + 999);
    if first > heard_ms {
        return (first - heard_ms + 999) / 1_000;
    }
    if last < asked_ms {
        return -((asked_ms - last + 999) / 1_000);
    }
    0
}

fn finding(server: &str, ahead: i64) -> Finding {
    let what = format!("clock beside {server}");
    let off = ahead.abs();
    let direction = if ahead > 0 { "behind" } else { "ahead" };
    let found = format!("ours is {off} s {direction}");
    let to_do = "let both keep time by NTP (timedatectl set-ntp true): tokens of a clock that is more than a minute off \
                 are refused";
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

    fn heard(asked_ms: i64) -> Answered {
        Answered {
            date: Some(DATE.to_owned()),
            asked_ms,
            heard_ms: asked_ms + 200,
        }
    }

    fn at(asked_ms: i64) -> Finding {
        check("r.lan", &heard(asked_ms)).expect("a date")
    }

    #[test]
    fn an_answer_within_its_second_is_no_difference() {
        for asked in [MS - 200, MS, MS + 999] {
            assert_eq!(ahead_s(MS / 1_000, asked, asked + 200), 0, "{asked}");
        }
    }

    #[test]
    fn a_minute_is_a_failure_and_some_seconds_are_worth_a_look() {
        assert_eq!(at(MS + 4_000).verdict, Verdict::Ok);
        assert_eq!(at(MS + 8_000).verdict, Verdict::Warn);
        assert_eq!(at(MS + 70_000).verdict, Verdict::Fail);
        assert_eq!(at(MS - 70_000).verdict, Verdict::Fail);
    }

    #[test]
    fn it_is_said_who_is_behind() {
        assert!(
            at(MS + 70_000).found.contains("70 s ahead"),
            "{:?}",
            at(MS + 70_000)
        );
        assert!(
            at(MS - 70_200).found.contains("70 s behind"),
            "{:?}",
            at(MS - 70_200)
        );
    }

    #[test]
    fn an_answer_without_a_date_says_nothing() {
        let without = Answered {
            date: None,
            ..heard(MS)
        };
        assert!(check("r.lan", &without).is_none());
        let junk = Answered {
            date: Some("yesterday".to_owned()),
            ..heard(MS)
        };
        assert!(check("r.lan", &junk).is_none());
    }
}
