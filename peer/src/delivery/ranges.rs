//! Which bytes of an object are compared.
//!
//! **Invariant:** always the same ranges for one location and object, and secret without the key. A location that has
//! only a part of the bytes gains nothing from another attempt.

use std::ops::Range;

use aws_lc_rs::hmac;
use oci::{Digest, Location};
use store::CHUNK;

/// Objects up to this size are compared whole.
pub(super) const WHOLE_UP_TO: u64 = 256 * 1024;
/// Bytes of one range.
const LENGTH: u64 = 64 * 1024;

/// Returns one range in the first chunk, one in the last and two anywhere; the whole of a small object.
pub(super) fn chosen(key: &hmac::Key, location: &Location, digest: &Digest, size: u64) -> Vec<Range<u64>> {
    if size <= WHOLE_UP_TO {
        return std::iter::once(0..size).collect();
    }
    let last_chunk = (size - 1) / CHUNK * CHUNK;
    let spans = [0..size.min(CHUNK), last_chunk..size, 0..size, 0..size];
    let numbers = numbers(key, location, digest);
    let within = |(span, number): (Range<u64>, u64)| {
        let room = (span.end - span.start).saturating_sub(LENGTH);
        let start = span.start + number % (room + 1);
        start..span.end.min(start + LENGTH)
    };
    spans.into_iter().zip(numbers).map(within).collect()
}

fn numbers(key: &hmac::Key, location: &Location, digest: &Digest) -> Vec<u64> {
    let text = format!("{location}\n{digest}");
    let tag = hmac::sign(key, text.as_bytes());
    let (words, _) = tag.as_ref().as_chunks::<8>();
    words.iter().map(|word| u64::from_be_bytes(*word)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(of: u8) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &[of; 32])
    }

    fn at(text: &str) -> Location {
        text.parse().expect("a location")
    }

    proptest! {
        #[test]
        fn ranges_lie_within_the_object_and_touch_both_ends(size in 1_u64..40 * 1024 * 1024, which: u8) {
            let ranges = chosen(&key(which), &at("https://reg.lan/v2/a"), &Digest::of(&[which]), size);
            for range in &ranges {
                prop_assert!(range.start < range.end && range.end <= size, "{range:?} of {size}");
            }
            prop_assert!(ranges.iter().any(|range| range.start < CHUNK));
            prop_assert!(ranges.iter().any(|range| range.end > (size - 1) / CHUNK * CHUNK));
            let bytes: u64 = ranges.iter().map(|range| range.end - range.start).sum();
            prop_assert!(bytes <= WHOLE_UP_TO.max(4 * LENGTH));
        }
    }

    #[test]
    fn the_ranges_of_a_pair_never_change_and_depend_on_the_key() {
        let (here, digest, size) = (at("https://reg.lan/v2/a"), Digest::of(b"x"), 40 * CHUNK);
        let once = chosen(&key(1), &here, &digest, size);
        assert_eq!(once, chosen(&key(1), &here, &digest, size));
        assert_ne!(once, chosen(&key(2), &here, &digest, size));
        assert_ne!(once, chosen(&key(1), &at("https://reg.lan/v2/b"), &digest, size));
    }

    #[test]
    fn a_small_object_is_compared_whole() {
        let ranges = chosen(&key(1), &at("https://reg.lan/v2/a"), &Digest::of(b"x"), 100);
        assert_eq!(ranges, [Range { start: 0, end: 100 }]);
    }
}
