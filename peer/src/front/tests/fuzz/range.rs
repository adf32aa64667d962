use std::ops::Range;

use super::{Fuzzing, Tried};
use crate::front::range::{Multipart, RequestedPart, part};

const SAMPLES: [&str; 6] = [
    "bytes=0-1",
    "bytes=5-",
    "bytes=-7",
    "bytes=0-1,4-9,20-30",
    "bytes=9-20, -3 ,0-",
    "items=0-1",
];
const WORDS: [&str; 16] = [
    "bytes=", "BYTES=", "-", ",", ", ", "\t", "0-", "-1", "0-0", "0-1,", "5-3", "=", "1048575", "1048576",
    "+1", "\u{a0}",
];
const SIZES: [u64; 7] = [0, 1, 10, 1 << 20, (1 << 20) + 1, 1 << 40, u64::MAX];

/// Parts lie within the object, do not overlap, parse back to the same, and fill a body of the announced length.
#[test]
fn no_range_header_leads_out_of_the_object() {
    let mut fuzzing = Fuzzing::new("range", &SAMPLES, &WORDS);
    while let Some(input) = fuzzing.next() {
        let tried = Tried(&input);
        let text = String::from_utf8_lossy(&input);
        let way = SIZES
            .map(|size| check(&text, size))
            .iter()
            .fold(0, |way, one| way * 31 + one);
        drop(tried);
        fuzzing.went(input, way);
    }
}

fn check(header: &str, size: u64) -> u64 {
    let parts = match part(Some(header), size) {
        RequestedPart::Whole => return 1,
        RequestedPart::None => return 2,
        RequestedPart::Some(range) => vec![range],
        RequestedPart::Many(ranges) => {
            assert!(
                ranges.len() > 1 && ranges.len() <= 1_024,
                "{} parts",
                ranges.len()
            );
            ranges
        }
    };
    let mut in_order = parts.clone();
    in_order.sort_by_key(|range| range.start);
    let mut before = 0;
    for range in &in_order {
        assert!(
            before <= range.start && range.start < range.end && range.end <= size,
            "{parts:?} of {size}"
        );
        before = range.end;
    }
    assert_eq!(read_again(&parts, size), parts, "of {size}");
    let bytes: u64 = parts.iter().map(|range| range.end - range.start).sum();
    let count = parts.len() as u64;
    let multipart = Multipart::new(parts, size, "application/octet-stream", 1);
    assert!(
        multipart.length() >= bytes.saturating_add(count),
        "{bytes} in {count} parts"
    );
    3 + u64::from(count.ilog2())
}

fn read_again(parts: &[Range<u64>], size: u64) -> Vec<Range<u64>> {
    let written: Vec<String> = parts
        .iter()
        .map(|range| format!("{}-{}", range.start, range.end - 1))
        .collect();
    match part(Some(&format!("bytes={}", written.join(","))), size) {
        RequestedPart::Some(range) => vec![range],
        RequestedPart::Many(ranges) => ranges,
        RequestedPart::Whole | RequestedPart::None => Vec::new(),
    }
}
