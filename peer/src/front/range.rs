//! The `Range` header: one range is honoured, everything that is none or many gets the whole object.

use std::ops::Range;

/// What part of an object a request gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    Whole,
    /// Never empty.
    Some(Range<u64>),
    /// The range lies behind the end: 416.
    None,
}

/// Reads one range (`bytes=a-b`, `bytes=a-`, `bytes=-n`) against an object of `size` bytes.
pub(crate) fn part(header: Option<&str>, size: u64) -> Part {
    let Some(range) = header.and_then(|header| header.trim().strip_prefix("bytes=")) else {
        return Part::Whole;
    };
    match bounds(range.trim()) {
        Some(Bounds::Closed(first, last)) if first < size => {
            Part::Some(first..last.saturating_add(1).min(size))
        }
        Some(Bounds::Open(first)) if first < size => Part::Some(first..size),
        Some(Bounds::Suffix(length)) if length > 0 && size > 0 => {
            Part::Some(size.saturating_sub(length)..size)
        }
        Some(_) => Part::None,
        None => Part::Whole,
    }
}

enum Bounds {
    Closed(u64, u64),
    Open(u64),
    Suffix(u64),
}

fn bounds(range: &str) -> Option<Bounds> {
    let (first, last) = range.split_once('-')?;
    match (first, last) {
        ("", last) => number(last).map(Bounds::Suffix),
        (first, "") => number(first).map(Bounds::Open),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(Bounds::Closed(first, last))
        }
    }
}

/// Digits only: `+1` and ` 1` are no numbers here.
fn number(text: &str) -> Option<u64> {
    let all_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // More digits than fit are a number behind every end.
    all_digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_three_forms_are_read() {
        assert_eq!(part(Some("bytes=0-"), 10), Part::Some(0..10));
        assert_eq!(part(Some("bytes=3-5"), 10), Part::Some(3..6));
        assert_eq!(part(Some("bytes=3-500"), 10), Part::Some(3..10));
        assert_eq!(part(Some("bytes=-4"), 10), Part::Some(6..10));
        assert_eq!(part(Some("bytes=-400"), 10), Part::Some(0..10));
        assert_eq!(part(Some("bytes=0-99999999999999999999"), 10), Part::Some(0..10));
    }

    #[test]
    fn behind_the_end_there_is_nothing() {
        for header in [
            "bytes=10-",
            "bytes=10-12",
            "bytes=-0",
            "bytes=99999999999999999999-",
        ] {
            assert_eq!(part(Some(header), 10), Part::None, "{header}");
        }
        assert_eq!(part(Some("bytes=0-"), 0), Part::None);
    }

    #[test]
    fn many_ranges_and_junk_get_the_whole() {
        for header in [
            "bytes=0-1,3-4",
            "bytes=",
            "bytes=-",
            "bytes=a-b",
            "bytes=5-3",
            "items=0-1",
            "bytes=+1-2",
            "bytes=1",
        ] {
            assert_eq!(part(Some(header), 10), Part::Whole, "{header}");
        }
        assert_eq!(part(None, 10), Part::Whole);
    }

    proptest! {
        #[test]
        fn a_part_lies_within_the_object(header in "(bytes=)?[0-9]{0,22}-?[0-9]{0,22}(,[0-9-]{0,4})?", size: u64) {
            if let Part::Some(range) = part(Some(&header), size) {
                prop_assert!(range.start < range.end && range.end <= size);
            }
        }

        #[test]
        fn a_closed_range_is_what_was_asked(first in 0_u64..100, length in 1_u64..100, size in 200_u64..300) {
            let header = format!("bytes={first}-{}", first + length - 1);
            prop_assert_eq!(part(Some(&header), size), Part::Some(first..first + length));
        }
    }
}
