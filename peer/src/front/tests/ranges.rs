use std::ops::Range;
use std::time::Duration;

use axum::body::Bytes;
use http::{Method, StatusCode};

use store::{CHUNK, Store};

use super::support::{FrontFixture, FrontResponse, SignIn};
use crate::fetch::tests::support::{bytes, eventually, lies_of, with_byte_changed};

fn layer() -> Bytes {
    let mut state = 1_u32;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..3_000_000).map(next).collect::<Vec<u8>>().into()
}

async fn get_with(world: &FrontFixture, path: &str, headers: &[(&str, &str)]) -> FrontResponse {
    let mut request = world.request(Method::GET, path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    world.send(request).await
}

/// The parts of a multipart answer: where each lies, and its bytes.
fn parts(got: &FrontResponse, size: usize) -> Vec<(Range<usize>, Bytes)> {
    let media_type = got.header("content-type");
    let boundary = media_type
        .strip_prefix("multipart/byteranges; boundary=")
        .expect("a multipart answer");
    let body = got.body.clone().expect("a body");
    assert_eq!(got.header("content-length"), body.len().to_string());
    let mut at = 0;
    let mut parts = Vec::new();
    loop {
        let delimiter = format!("\r\n--{boundary}");
        let rest = body.slice(at..);
        let after = rest
            .strip_prefix(delimiter.as_bytes())
            .expect("a delimiter where a part ends");
        if after == b"--\r\n" {
            return parts;
        }
        let head_length = after
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .expect("a head")
            + 4;
        let head = std::str::from_utf8(&after[..head_length]).expect("text");
        let range = head
            .lines()
            .find_map(|line| line.strip_prefix("Content-Range: bytes "))
            .and_then(|range| range.strip_suffix(&format!("/{size}")))
            .and_then(|range| range.split_once('-'))
            .expect("a Content-Range");
        let number = |text: &str| text.parse::<usize>().expect("a number");
        let range = number(range.0)..number(range.1) + 1;
        let begins = at + delimiter.len() + head_length;
        at = begins + range.len();
        parts.push((range, body.slice(begins..at)));
    }
}

#[tokio::test]
async fn many_ranges_come_as_parts_from_the_registry_and_from_the_store() {
    let world = FrontFixture::new(SignIn::None).await;
    let image = world.registry.push("a", layer());
    let size = image.layer_bytes.len();
    let path = format!("/v2/a/blobs/{}", image.layer);
    let header = "bytes=2000000-2000099, 0-1,2-9,-5,700000-1800000,9000000-";
    let expected = [
        2_000_000..2_000_100,
        0..2,
        2..10,
        size - 5..size,
        700_000..1_800_001,
    ];
    for from in ["registry", "store"] {
        let got = get_with(&world, &path, &[("range", header)]).await;
        assert_eq!(got.status, StatusCode::PARTIAL_CONTENT, "{from}");
        assert_eq!(got.header("content-range"), "", "{from}");
        assert_eq!(got.header("content-encoding"), "", "{from}");
        assert_eq!(got.header("docker-content-digest"), image.layer.as_str());
        let parts = parts(&got, size);
        let places: Vec<Range<usize>> = parts.iter().map(|(range, _)| range.clone()).collect();
        assert_eq!(places, expected, "{from}");
        for (range, bytes) in parts {
            assert!(
                bytes == image.layer_bytes.slice(range.clone()),
                "{from} {range:?}"
            );
        }
    }
    assert_eq!(world.registry.count(&format!("GET {path}")), 1);
}

#[tokio::test]
async fn one_remaining_range_is_a_plain_206() {
    let world = FrontFixture::new(SignIn::None).await;
    let image = world.registry.push("a", layer());
    let size = image.layer_bytes.len();
    let path = format!("/v2/a/blobs/{}", image.layer);
    let got = get_with(&world, &path, &[("range", "bytes=0-4,3-9,9000000-")]).await;
    assert_eq!(got.status, StatusCode::PARTIAL_CONTENT);
    assert_eq!(got.header("content-range"), format!("bytes 0-9/{size}"));
    assert_eq!(got.body.expect("a body"), image.layer_bytes.slice(0..10));
    let beyond = get_with(&world, &path, &[("range", "bytes=9000000-,8000000-8000001")]).await;
    assert_eq!(beyond.status, StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(beyond.header("content-range"), format!("bytes */{size}"));
}

#[tokio::test]
async fn parts_of_a_wrong_layer_end_as_a_broken_transfer() {
    let world = FrontFixture::new(SignIn::None).await;
    let image = world.registry.push("a", layer());
    world.registry.serves_wrong_bytes_of(&image.layer);
    let path = format!("/v2/a/blobs/{}", image.layer);
    let got = get_with(&world, &path, &[("range", "bytes=0-9,2999990-")]).await;
    assert_eq!(got.status, StatusCode::PARTIAL_CONTENT);
    assert!(got.body.is_none(), "the end of a wrong layer was given out");
}

#[tokio::test]
async fn if_range_of_another_object_gets_the_whole() {
    let world = FrontFixture::new(SignIn::None).await;
    let image = world.registry.push("a", layer());
    let path = format!("/v2/a/blobs/{}", image.layer);
    let own = format!("\"{}\"", image.layer);
    let weak = format!("W/{own}");
    for (tag, status) in [
        (own.as_str(), StatusCode::PARTIAL_CONTENT),
        (weak.as_str(), StatusCode::OK),
        ("\"other\"", StatusCode::OK),
        ("Sat, 21 Nov 2026 10:00:00 GMT", StatusCode::OK),
    ] {
        let got = get_with(&world, &path, &[("range", "bytes=0-1"), ("if-range", tag)]).await;
        assert_eq!(got.status, status, "{tag}");
    }
    let twice = get_with(&world, &path, &[("range", "bytes=0-1"), ("range", "bytes=5-6")]).await;
    assert_eq!(twice.status, StatusCode::OK);
    let mut request = world.request(Method::HEAD, &path).header("range", "bytes=0-1");
    request = request.header("if-range", &own);
    let head = world.send(request).await;
    assert_eq!(head.status, StatusCode::OK);
    assert_eq!(head.header("content-length"), image.layer_bytes.len().to_string());
}

#[tokio::test]
async fn a_client_with_the_object_gets_304_without_a_fetch() {
    let world = FrontFixture::new(SignIn::None).await;
    let image = world.registry.push("a", layer());
    let blob = format!("/v2/a/blobs/{}", image.layer);
    for (path, digest) in [
        (blob.clone(), &image.layer),
        ("/v2/a/manifests/v1".to_owned(), &image.index),
        (format!("/v2/a/manifests/{}", image.manifest), &image.manifest),
    ] {
        for tag in [
            format!("\"{digest}\""),
            format!("\"x\", W/\"{digest}\""),
            "*".to_owned(),
        ] {
            let got = get_with(&world, &path, &[("if-none-match", &tag), ("range", "bytes=0-1")]).await;
            assert_eq!(got.status, StatusCode::NOT_MODIFIED, "{path} {tag}");
            assert_eq!(got.header("etag"), format!("\"{digest}\""));
            assert_eq!(got.body.expect("no body"), "");
        }
    }
    assert_eq!(world.registry.count(&format!("GET {blob}")), 0);
    let got = get_with(&world, &blob, &[("if-none-match", "\"x\"")]).await;
    assert_eq!(got.status, StatusCode::OK);
}

#[tokio::test]
async fn a_304_needs_a_grant_too() {
    let world = FrontFixture::new(SignIn::Basic).await;
    let image = world.registry.push("a", layer());
    let path = format!("/v2/a/blobs/{}", image.layer);
    let got = get_with(&world, &path, &[("if-none-match", "*")]).await;
    assert_eq!(got.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_manifest_has_ranges_too() {
    let world = FrontFixture::new(SignIn::None).await;
    let image = world.registry.push("a", layer());
    let path = format!("/v2/a/manifests/{}", image.manifest);
    let whole = world.get(&path, None).await.body.expect("a body");
    let size = whole.len();
    let got = get_with(&world, &path, &[("range", "bytes=2-5")]).await;
    assert_eq!(got.status, StatusCode::PARTIAL_CONTENT);
    assert_eq!(got.header("content-range"), format!("bytes 2-5/{size}"));
    assert_eq!(got.body.expect("a body"), whole.slice(2..6));
    let many = get_with(&world, &path, &[("range", "bytes=7-8,-3")]).await;
    let expected = [
        (7..9, whole.slice(7..9)),
        (size - 3..size, whole.slice(size - 3..)),
    ];
    assert_eq!(parts(&many, size), expected);
    let beyond = get_with(&world, &path, &[("range", &format!("bytes={size}-"))]).await;
    assert_eq!(beyond.status, StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(beyond.header("content-range"), format!("bytes */{size}"));
}

/// An object of more than a few chunks that the seed says it has proven, and whose bytes are wrong there.
async fn lied_about(world: &FrontFixture, seed: &Store, number: u64) -> (String, Bytes) {
    let body = with_byte_changed(&bytes(5 * CHUNK + 700), number);
    let image = world.registry.push("a", body.clone());
    lies_of(seed, &body, &with_byte_changed(&body, CHUNK)).await;
    seed.record_delivered(&image.layer, &world.location("a"));
    (format!("/v2/a/blobs/{}", image.layer), body)
}

#[tokio::test]
async fn a_range_of_the_whole_object_never_completes_with_wrong_bytes_of_a_seed() {
    let mut world = FrontFixture::new(SignIn::None).await;
    let seed = world.add_seed().await;
    let size = 5 * CHUNK + 700;
    let headers = [
        "bytes=0-".to_owned(),
        format!("bytes=0-{}", size - 1),
        format!("bytes=-{size}"),
        format!("bytes=0-{},{}-{}", 2 * CHUNK, 2 * CHUNK + 1, size - 1),
        format!("bytes={}-{},0-{}", CHUNK, 9 * size, CHUNK + 5),
        // Resumed after a broken transfer.
        format!("bytes={CHUNK}-"),
        // Ignored: the response is the whole object.
        "bytes=x".to_owned(),
    ];
    for (header, number) in headers.iter().zip(1..) {
        let (path, body) = lied_about(&world, &seed, number).await;
        let got = get_with(&world, &path, &[("range", header)]).await;
        assert!(got.body.is_none(), "{header}: {} with wrong bytes", got.status);
        // The wrong bytes are dropped, and the registry is asked.
        let again = world.get(&path, None).await;
        assert!(again.body.expect("a body") == body, "{header}");
    }
}

#[tokio::test]
async fn a_range_of_the_whole_object_completes_with_right_bytes_of_a_seed() {
    let mut world = FrontFixture::new(SignIn::None).await;
    let seed = world.add_seed().await;
    for (number, header) in (1..).zip(["bytes=0-", "bytes=1048576-"]) {
        let body = with_byte_changed(&bytes(5 * CHUNK + 700), number);
        let image = world.registry.push("a", body.clone());
        lies_of(&seed, &body, &body).await;
        seed.record_delivered(&image.layer, &world.location("a"));
        let path = format!("/v2/a/blobs/{}", image.layer);
        let got = get_with(&world, &path, &[("range", header)]).await;
        assert_eq!(got.status, StatusCode::PARTIAL_CONTENT, "{header}");
        let first = body.len() - got.header("content-length").parse::<usize>().expect("a length");
        assert!(got.body.expect("a body") == body.slice(first..), "{header}");
        assert_eq!(world.registry.count(&format!("GET {path}")), 0);
    }
}

#[tokio::test]
async fn with_held_back_ranges_no_wrong_byte_of_a_seed_is_sent() {
    let mut world = FrontFixture::new(SignIn::None).await;
    let seed = world.add_seed().await;
    world.hold_ranges_back(Duration::from_secs(60)).await;
    let ranges = [CHUNK..CHUNK + 9, 5 * CHUNK + 690..5 * CHUNK + 700, 7..2 * CHUNK];
    for (range, number) in ranges.into_iter().zip(1..) {
        let (path, body) = lied_about(&world, &seed, number).await;
        let header = format!("bytes={}-{}", range.start, range.end - 1);
        let got = get_with(&world, &path, &[("range", &header)]).await;
        assert_eq!(got.status, StatusCode::PARTIAL_CONTENT, "{header}");
        let at = |offset: u64| usize::try_from(offset).expect("within the object");
        let right = body.slice(at(range.start)..at(range.end));
        assert!(got.body.expect("a body") == right, "{header}");
    }
}

#[tokio::test]
async fn a_range_that_is_held_back_too_long_gets_a_503_with_retry_after() {
    let mut world = FrontFixture::new(SignIn::None).await;
    world.hold_ranges_back(Duration::from_millis(50)).await;
    let image = world.registry.push("a", layer());
    let path = format!("/v2/a/blobs/{}", image.layer);
    let held = world.registry.holds_bodies();
    let got = get_with(&world, &path, &[("range", "bytes=5-9")]).await;
    assert_eq!(got.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(got.header("retry-after"), "10");
    held.cancel();
    eventually("the object is proven", || {
        world.store.sealed(&image.layer).is_some()
    })
    .await;
    let got = get_with(&world, &path, &[("range", "bytes=5-9")]).await;
    assert_eq!(got.body.expect("a body"), image.layer_bytes.slice(5..10));
    assert_eq!(world.registry.count(&format!("GET {path}")), 1);
}
