//! Parses the `Range` header (RFC 9110, 14.2): one range or several, for an object of known size.
//!
//! Adjacent ranges stay separate, since some clients (podman with zstd:chunked) count the parts of the response.
//! Overlapping ranges are merged, so that no response is longer than the object and the heads of its parts.
//!
//! **Invariant:** parts are not empty, lie within the object and do not overlap. An invalid header, or one with too many
//! parts, is ignored: the client gets the whole object.

mod multipart;

use std::ops::Range;

use oci::RequestedRange;

pub(crate) use multipart::Multipart;

/// As many as podman asks for in one request.
const PARTS_LIMIT: usize = 1_024;

/// The part of an object that a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RequestedPart {
    Whole,
    /// Never empty.
    Some(Range<u64>),
    /// Two or more, in the order of the header. None is empty, none overlaps another.
    Many(Vec<Range<u64>>),
    /// Every range begins after the end: 416.
    None,
}

impl RequestedPart {
    /// Returns whether the parts together are the whole object of `size` bytes.
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

/// Returns whether a range is open-ended (`bytes=a-`), as of a client that resumes a broken transfer.
pub(crate) fn is_open_ended(header: &str) -> bool {
    let is_open = |bounds: &RequestedRange| matches!(bounds, RequestedRange::Open(_));
    RequestedRange::read_all(header).is_some_and(|asked| asked.iter().any(is_open))
}

/// Parses `bytes=a-b`, `bytes=a-`, `bytes=-n`, or a comma-separated list of them, for an object of `size` bytes.
pub(crate) fn part(header: Option<&str>, size: u64) -> RequestedPart {
    let Some(asked) = header.and_then(RequestedRange::read_all) else {
        return RequestedPart::Whole;
    };
    let within: Vec<Range<u64>> = asked.iter().filter_map(|range| range.within(size)).collect();
    let mut parts = without_overlaps(within);
    if parts.len() > PARTS_LIMIT {
        return RequestedPart::Whole;
    }
    match (parts.pop(), parts.is_empty()) {
        (None, _) => RequestedPart::None,
        (Some(only), true) => RequestedPart::Some(only),
        (Some(last), false) => {
            parts.push(last);
            RequestedPart::Many(parts)
        }
    }
}

/// Merges overlapping ranges, at the position of the first of them in the header.
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
