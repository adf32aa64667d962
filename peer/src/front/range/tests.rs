use proptest::prelude::*;

use super::*;

#[test]
fn the_three_forms_are_read() {
    assert_eq!(part(Some("bytes=0-"), 10), RequestedPart::Some(0..10));
    assert_eq!(part(Some("bytes=3-5"), 10), RequestedPart::Some(3..6));
    assert_eq!(part(Some("bytes=3-500"), 10), RequestedPart::Some(3..10));
    assert_eq!(part(Some("bytes=-4"), 10), RequestedPart::Some(6..10));
    assert_eq!(part(Some("bytes=-400"), 10), RequestedPart::Some(0..10));
    assert_eq!(
        part(Some("bytes=0-99999999999999999999"), 10),
        RequestedPart::Some(0..10)
    );
    assert_eq!(part(Some("Bytes=9-9"), 10), RequestedPart::Some(9..10));
}

#[test]
fn a_range_behind_the_end_is_empty() {
    for header in [
        "bytes=10-",
        "bytes=10-12",
        "bytes=-0",
        "bytes=99999999999999999999-",
        "bytes=10-,-0, 11-12",
    ] {
        assert_eq!(part(Some(header), 10), RequestedPart::None, "{header}");
    }
    assert_eq!(part(Some("bytes=0-"), 0), RequestedPart::None);
    assert_eq!(part(Some("bytes=-5"), 0), RequestedPart::None);
}

#[test]
fn an_invalid_header_gets_the_whole() {
    for header in [
        "bytes=",
        "bytes=,",
        "bytes=-",
        "bytes=a-b",
        "bytes=5-3",
        "bytes=0-1,x",
        "bytes=0-1,5-3",
        "bytes=0-1;3-4",
        "items=0-1",
        "bytes=+1-2",
        "bytes=1",
        "bytes 0-1",
        "=0-1",
    ] {
        assert_eq!(part(Some(header), 10), RequestedPart::Whole, "{header}");
    }
    assert_eq!(part(None, 10), RequestedPart::Whole);
}

#[test]
fn parts_are_all_of_an_object_when_no_byte_is_missing() {
    for header in [
        "bytes=0-",
        "bytes=0-9",
        "bytes=-10",
        "bytes=-400",
        "bytes=0-3,4-9",
        "bytes=7-9, 0-2, 2-8",
        "junk",
    ] {
        assert!(part(Some(header), 10).is_all_of(10), "{header}");
    }
    for header in ["bytes=1-", "bytes=0-8", "bytes=-9", "bytes=0-3,5-9", "bytes=10-"] {
        assert!(!part(Some(header), 10).is_all_of(10), "{header}");
    }
}

#[test]
fn an_open_range_is_open_ended() {
    for header in ["bytes=5-", "bytes=0-1,5-"] {
        assert!(is_open_ended(header), "{header}");
    }
    for header in ["bytes=5-9", "bytes=-5", "bytes=5-,x", "junk"] {
        assert!(!is_open_ended(header), "{header}");
    }
}

#[test]
fn several_ranges_keep_their_order_without_those_behind_the_end() {
    assert_eq!(
        part(Some("bytes=8-, 0-1 ,\t4-4,,20-30,-0"), 10),
        RequestedPart::Many(vec![8..10, 0..2, 4..5])
    );
    assert_eq!(part(Some("bytes=20-30,4-5"), 10), RequestedPart::Some(4..6));
}

#[test]
fn adjacent_ranges_stay_separate() {
    assert_eq!(
        part(Some("bytes=0-1,2-3,4-"), 10),
        RequestedPart::Many(vec![0..2, 2..4, 4..10])
    );
}

#[test]
fn overlapping_ranges_merge_at_the_position_of_the_first() {
    assert_eq!(
        part(Some("bytes=6-7,0-2,2-3,1-1"), 10),
        RequestedPart::Many(vec![6..8, 0..4])
    );
    assert_eq!(part(Some("bytes=0-,0-,0-,-3"), 10), RequestedPart::Some(0..10));
    assert_eq!(
        part(Some("bytes=5-6,8-8,0-5"), 10),
        RequestedPart::Many(vec![0..7, 8..9])
    );
}

#[test]
fn too_many_parts_get_the_whole() {
    let header = |parts: usize| {
        let each: Vec<String> = (0..parts).map(|part| format!("{0}-{0}", 2 * part)).collect();
        format!("bytes={}", each.join(","))
    };
    let RequestedPart::Many(parts) = part(Some(&header(PARTS_LIMIT)), 1 << 20) else {
        panic!("{PARTS_LIMIT} parts are not too many");
    };
    assert_eq!(parts.len(), PARTS_LIMIT);
    assert_eq!(
        part(Some(&header(PARTS_LIMIT + 1)), 1 << 20),
        RequestedPart::Whole
    );
    assert_eq!(part(Some(&header(50_000)), 1 << 20), RequestedPart::Whole);
    // The same byte again and again is one part.
    let same = format!("bytes={}", "0-0,".repeat(5_000));
    assert_eq!(part(Some(&same), 1 << 20), RequestedPart::Some(0..1));
}

/// What RFC 9110 says, byte by byte.
fn is_requested(byte: u64, size: u64, bounds: &[RequestedRange]) -> bool {
    bounds.iter().any(|bounds| match *bounds {
        RequestedRange::Closed(first, last) => (first..=last).contains(&byte),
        RequestedRange::Open(first) => byte >= first,
        RequestedRange::Suffix(length) => byte + length >= size,
    })
}

fn written(bounds: &[RequestedRange]) -> String {
    let one = |bounds: &RequestedRange| match bounds {
        RequestedRange::Closed(first, last) => format!("{first}-{last}"),
        RequestedRange::Open(first) => format!("{first}-"),
        RequestedRange::Suffix(length) => format!("-{length}"),
    };
    let each: Vec<String> = bounds.iter().map(one).collect();
    format!("bytes={}", each.join(", "))
}

fn any_bounds() -> impl Strategy<Value = RequestedRange> {
    prop_oneof![
        (0_u64..120, 0_u64..40).prop_map(|(first, more)| RequestedRange::Closed(first, first + more)),
        (0_u64..120).prop_map(RequestedRange::Open),
        (0_u64..120).prop_map(RequestedRange::Suffix),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn whatever_the_header_says_parts_lie_within_the_object(header in "(bytes=)?[0-9]{0,22}-?[0-9]{0,22}(,[ 0-9-]{0,4}){0,6}", size: u64) {
        let parts = match part(Some(&header), size) {
            RequestedPart::Some(range) => vec![range],
            RequestedPart::Many(ranges) => ranges,
            RequestedPart::Whole | RequestedPart::None => Vec::new(),
        };
        for range in parts {
            prop_assert!(range.start < range.end && range.end <= size);
        }
    }

    #[test]
    fn exactly_the_bytes_that_were_asked_for_come_and_each_once(
        bounds in proptest::collection::vec(any_bounds(), 1..12),
        size in 0_u64..110,
    ) {
        let parts = match part(Some(&written(&bounds)), size) {
            RequestedPart::Some(range) => vec![range],
            RequestedPart::Many(ranges) => {
                prop_assert!(ranges.len() > 1);
                ranges
            }
            RequestedPart::None => Vec::new(),
            RequestedPart::Whole => return Err(TestCaseError::fail("a legal header was ignored")),
        };
        for byte in 0..size {
            let times = parts.iter().filter(|range| range.contains(&byte)).count();
            prop_assert_eq!(times, usize::from(is_requested(byte, size, &bounds)), "byte {}", byte);
        }
        // In the order of the first range that has a byte of it.
        let asked_at = |part: &Range<u64>| bounds.iter().position(|one| {
            one.within(size).is_some_and(|one| part.start <= one.start && one.end <= part.end)
        });
        let places: Vec<Option<usize>> = parts.iter().map(asked_at).collect();
        prop_assert!(places.is_sorted() && places.iter().all(Option::is_some), "{:?}", places);
    }
}
