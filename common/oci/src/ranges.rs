//! Byte ranges of HTTP (RFC 9110, section 14): the `Range` of a request and the `Content-Range` of a response.
//!
//! **Invariant:** text that is no range is never read as one: only digits are numbers.

use std::ops::Range;

/// Longer `Range` headers are not read: no client sends them.
const HEADER_LIMIT: usize = 64 * 1024;

/// One range that a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestedRange {
    /// `5-9`: both ends count.
    Closed(u64, u64),
    /// `5-`: all from there on.
    Open(u64),
    /// `-5`: the last bytes.
    Suffix(u64),
}

impl RequestedRange {
    /// Reads all ranges of a `Range` header. Returns `None` when one of them is no range, or when the unit is not
    /// bytes.
    pub fn read_all(header: &str) -> Option<Vec<Self>> {
        if header.len() > HEADER_LIMIT {
            return None;
        }
        let (unit, ranges) = header.split_once('=')?;
        if !unit.trim().eq_ignore_ascii_case("bytes") {
            return None;
        }
        let is_blank = |character: char| matches!(character, ' ' | '\t');
        let each = ranges.split(',').map(|range| range.trim_matches(is_blank));
        // A list may have empty members, but not only those.
        let ranges: Option<Vec<Self>> = each.filter(|range| !range.is_empty()).map(Self::read).collect();
        ranges.filter(|ranges| !ranges.is_empty())
    }

    /// Reads the range of a `Range` header that has exactly one.
    pub fn read_only(header: &str) -> Option<Self> {
        match Self::read_all(header)?.as_slice() {
            [only] => Some(*only),
            _ => None,
        }
    }

    fn read(range: &str) -> Option<Self> {
        match range.split_once('-')? {
            ("", last) => number(last).map(Self::Suffix),
            (first, "") => number(first).map(Self::Open),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Self::Closed(first, last))
            }
        }
    }

    /// The bytes of an object of `size` bytes that are meant, if there are any.
    pub fn within(self, size: u64) -> Option<Range<u64>> {
        let range = match self {
            Self::Closed(first, last) => first..last.saturating_add(1).min(size),
            Self::Open(first) => first..size,
            Self::Suffix(length) => size.saturating_sub(length)..size,
        };
        (range.start < range.end).then_some(range)
    }
}

/// The `Content-Range` of a response: `bytes 5-9/10`, or `bytes 5-9/*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentRange {
    pub first: u64,
    /// The last byte counts. Never before `first`, always within `total`.
    pub last: u64,
    /// `None` when the server does not say.
    pub total: Option<u64>,
}

impl ContentRange {
    pub fn read(header: &str) -> Option<Self> {
        let (range, total) = header.trim().strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let total = if total == "*" {
            None
        } else {
            Some(total.parse().ok()?)
        };
        let (first, last) = (first.parse().ok()?, last.parse().ok()?);
        let fits = first <= last && total.is_none_or(|total| last < total);
        fits.then_some(Self { first, last, total })
    }
}

/// Digits only: `+1` and ` 1` are no numbers here. A number with too many digits lies behind every end.
fn number(text: &str) -> Option<u64> {
    let all_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    all_digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_range_is_read_or_refused() {
        let range = |total| ContentRange {
            first: 5,
            last: 9,
            total,
        };
        assert_eq!(ContentRange::read("bytes 5-9/10"), Some(range(Some(10))));
        assert_eq!(ContentRange::read("bytes 5-9/*"), Some(range(None)));
        for bad in [
            "bytes 5-9/9",
            "bytes 9-5/10",
            "bytes */10",
            "bytes 5-9",
            "items 5-9/10",
            "bytes 5-x/10",
            "",
        ] {
            assert_eq!(ContentRange::read(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_request_s_ranges_are_read_or_refused() {
        use RequestedRange::{Closed, Open, Suffix};
        let all = RequestedRange::read_all("bytes=0-4, 7-,-3").expect("ranges");
        assert_eq!(all, [Closed(0, 4), Open(7), Suffix(3)]);
        assert_eq!(RequestedRange::read_only("BYTES=5-5"), Some(Closed(5, 5)));
        for bad in [
            "bytes=5-4",
            "lines=1-2",
            "bytes=",
            "bytes=,",
            "bytes=+1-2",
            "bytes=1",
            "bytes=-",
        ] {
            assert_eq!(RequestedRange::read_all(bad), None, "{bad}");
        }
        assert_eq!(RequestedRange::read_only("bytes=0-1,3-4"), None);
    }

    #[test]
    fn a_range_is_cut_at_the_end_of_the_object() {
        assert_eq!(RequestedRange::Closed(5, u64::MAX).within(10), Some(5..10));
        assert_eq!(RequestedRange::Suffix(20).within(10), Some(0..10));
        assert_eq!(RequestedRange::Open(10).within(10), None);
        assert_eq!(RequestedRange::Suffix(0).within(10), None);
    }
}
