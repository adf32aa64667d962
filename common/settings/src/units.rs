//! Durations and sizes in bytes: how they are parsed and shown.

use std::time::Duration;

use bytesize::ByteSize;

/// Parses `90s`, `10m`, `36h`, `365d`, `250ms` or `1h 30m`; a bare number is seconds.
///
/// # Errors
/// The text is not a duration.
pub fn duration(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(Duration::from_secs(seconds));
    }
    humantime::parse_duration(text)
        .map_err(|_| format!("`{text}` is not a duration: write for example 90s, 10m, 36h or 365d"))
}

/// Returns the text of a duration, as [`duration`] parses it.
pub fn shown_duration(time: Duration) -> String {
    humantime::format_duration(time).to_string()
}

/// Parses `200GiB`, `500GB` or `1TiB`; a bare number is bytes.
///
/// # Errors
/// The text is not a size.
pub fn bytes(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is not a size in bytes: write for example 200GiB, 500GB or 1TiB");
    let ByteSize(bytes) = text.trim().parse().map_err(|_| wrong())?;
    // The parser returns this for sizes that do not fit.
    if bytes == u64::MAX {
        Err(wrong())
    } else {
        Ok(bytes)
    }
}

/// Returns the text of a size, as [`bytes`] parses it: `200.0 GiB`, or plain bytes if that would round.
pub fn shown_bytes(amount: u64) -> String {
    let short = ByteSize(amount).to_string();
    if bytes(&short) == Ok(amount) {
        short
    } else {
        format!("{amount} B")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_parsed_in_all_usual_spellings() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("365d"), Ok(Duration::from_secs(365 * 86_400)));
        assert_eq!(duration("5"), Ok(Duration::from_secs(5)));
        assert_eq!(duration("1h 30m"), Ok(Duration::from_secs(5_400)));
        for wrong in ["", "s", "-1s", "99999999999999999999d", "é", "soon"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_are_parsed_in_all_usual_spellings() {
        for (text, amount) in [
            ("200GiB", 200 << 30),
            ("5 GB", 5_000_000_000),
            ("1TiB", 1 << 40),
            ("7kB", 7_000),
            ("123", 123),
        ] {
            assert_eq!(bytes(text), Ok(amount), "{text}");
        }
        for wrong in ["", "much", "-1GiB", "99999999999TiB", "5%"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_shown_value_parses_to_the_same_value() {
        for amount in [0, 1, 1_023, 858_993_459, 5_000_000_000, 200 << 30, 3 << 50] {
            assert_eq!(bytes(&shown_bytes(amount)), Ok(amount));
        }
        for seconds in [0, 1, 90, 600, 86_400 * 30, 86_400 * 365] {
            let time = Duration::from_secs(seconds);
            assert_eq!(duration(&shown_duration(time)), Ok(time));
        }
        assert_eq!(shown_bytes(200 << 30), "200.0 GiB");
        assert_eq!(shown_duration(Duration::from_secs(600)), "10m");
    }
}
