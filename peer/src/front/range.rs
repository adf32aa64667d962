//! The `Range` header (RFC 9110, 14.2): one range, or many in one header, against an object whose size is known.
//!
//! Ranges that only touch stay apart, since some clients (podman with zstd:chunked) count the parts that they get.
//! Ranges that overlap are made one, so that no answer is longer than the object and its parts' heads.
//!
//! **Invariant:** parts are not empty, lie within the object and do not overlap. A header that is not understood, or
//! that asks for too many parts, is ignored: its sender gets the whole.

mod multipart;

use std::ops::Range;

use oci::RequestedRange;

pub(crate) use multipart::Multipart;

/// As many as podman asks for in one request. Who asks for more gets the whole object in one go.
const PARTS_LIMIT: usize = 1_024;

/// What part of an object a request gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    Whole,
    /// Never empty.
    Some(Range<u64>),
    /// Two or more, in the order in which they were asked for. None is empty, none overlaps another.
    Many(Vec<Range<u64>>),
    /// All of it lies behind the end: 416.
    None,
}

impl Part {
    /// Whether these parts are together the whole object of `size` bytes.
    pub(crate) fn is_all_of(&self, size: u64) -> bool {
        let length = |range: &Range<u64>| range.end.saturating_sub(range.start);
        match self {
            Self::Whole => true,
            Self::Some(range) => length(range) == size,
            // None overlaps another.
            Self::Many(ranges) => ranges.iter().map(length).sum::<u64>() == size,
            Self::None => false,
        }
    }
}

/// Whether a header asks for all that is left from some byte on (`bytes=a-`), as who resumes a broken transfer does.
pub(crate) fn is_open_ended(header: &str) -> bool {
    let is_open = |range: &RequestedRange| matches!(range, RequestedRange::Open(_));
    RequestedRange::read_all(header).is_some_and(|asked| asked.iter().any(is_open))
}

/// Reads ranges (`bytes=a-b`, `bytes=a-`, `bytes=-n`, and several of them with commas between) against an object of
/// `size` bytes.
pub(crate) fn part(header: Option<&str>, size: u64) -> Part {
    let Some(asked) = header.and_then(RequestedRange::read_all) else {
        return Part::Whole;
    };
    let within: Vec<Range<u64>> = asked.iter().filter_map(|range| range.within(size)).collect();
    let mut parts = without_overlaps(within);
    if parts.len() > PARTS_LIMIT {
        return Part::Whole;
    }
    match (parts.pop(), parts.is_empty()) {
        (None, _) => Part::None,
        (Some(only), true) => Part::Some(only),
        (Some(last), false) => {
            parts.push(last);
            Part::Many(parts)
        }
    }
}

/// Ranges that share a byte become one, at the place of the first of them that was asked for.
fn without_overlaps(asked: Vec<Range<u64>>) -> Vec<Range<u64>> {
    let mut by_start: Vec<(usize, Range<u64>)> = asked.into_iter().enumerate().collect();
    by_start.sort_by_key(|(_, range)| range.start);
    let mut apart: Vec<(usize, Range<u64>)> = Vec::with_capacity(by_start.len());
    for (place, range) in by_start {
        match apart.last_mut() {
            Some((first, before)) if range.start < before.end => {
                before.end = before.end.max(range.end);
                *first = place.min(*first);
            }
            _ => apart.push((place, range)),
        }
    }
    apart.sort_by_key(|(place, _)| *place);
    apart.into_iter().map(|(_, range)| range).collect()
}

#[cfg(test)]
mod tests;
