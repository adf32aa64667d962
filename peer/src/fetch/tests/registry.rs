//! Faults of a registry.

use std::num::NonZeroU32;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _};
use oci::{Digest, RegistrySettings};
use store::CHUNK;
use tokio_util::sync::CancellationToken;
use wire::{ObjectKind, Side};

use super::support::{
    FetchFixture, Reading, RecordedRequest, Treat, bytes, eventually, read_all, read_what_comes,
    with_byte_changed,
};
use crate::fetch::{Extent, FetchError, FetchSpec};
use crate::neighbours::Surroundings as _;

#[tokio::test]
async fn objects_of_every_interesting_size_are_sealed_and_read() {
    let world = FetchFixture::new().await;
    for size in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 17] {
        let body = bytes(size);
        let digest = world.registry.serve(&body);
        let following = world.fetch(&digest);
        let (got, ended) = read_all(&following).await;
        assert_eq!((got, ended), (body.to_vec(), Ok(())), "{size} bytes");
        let report = following.sealed().await.expect("sealed");
        assert_eq!(report.bytes_from_registry, size);
        let on_disk = std::fs::read(world.store.sealed(&digest).expect("held").path()).expect("read");
        assert_eq!(on_disk, body);
    }
}

#[tokio::test]
async fn a_cut_body_is_never_sealed() {
    let world = FetchFixture::new().await;
    let body = bytes(3 * CHUNK);
    let digest = Digest::of(&body);
    world.registry.put(
        &digest,
        Treat {
            bytes: body,
            cuts: [CHUNK + 5].into(),
            always_cut: true,
            ..Treat::default()
        },
    );
    let following = world.fetch(&digest);
    let (got, ended) = read_all(&following).await;
    assert!((got.len() as u64) < 3 * CHUNK);
    let error = ended.expect_err("broken");
    assert_eq!(error.side(), Side::Network, "{error}");
    assert!(following.sealed().await.is_err());
    assert!(world.store.sealed(&digest).is_none());
}

#[tokio::test]
async fn a_fetch_continues_at_the_byte_where_the_registry_broke_off() {
    let world = FetchFixture::new().await;
    let body = bytes(3 * CHUNK);
    let digest = Digest::of(&body);
    let cuts = [CHUNK + 50_000, 2 * CHUNK].into();
    world.registry.put(
        &digest,
        Treat {
            bytes: body.clone(),
            cuts,
            ..Treat::default()
        },
    );
    let (got, ended) = read_all(&world.fetch(&digest)).await;
    assert_eq!((got, ended), (body.to_vec(), Ok(())));
    let ranges = world.registry.ranges();
    assert_eq!(ranges.len(), 3, "{ranges:?}");
    assert_eq!(ranges[0], None);
    // In the closed form, which every registry knows.
    let closed = format!("-{}", 3 * CHUNK - 1);
    let is_closed = |range: &Option<String>| range.as_ref().is_some_and(|range| range.ends_with(&closed));
    assert!(ranges[1..].iter().all(is_closed), "{ranges:?}");
}

#[tokio::test]
async fn an_object_arrives_however_often_it_breaks_off() {
    let world = FetchFixture::new().await;
    let body = bytes(15 * 300_000);
    let digest = Digest::of(&body);
    let treat = Treat {
        bytes: body.clone(),
        cuts: (1..15).map(|part| part * 300_000).collect(),
        ..Treat::default()
    };
    world.registry.put(&digest, treat);
    let (got, ended) = read_all(&world.fetch(&digest)).await;
    assert_eq!((got, ended), (body.to_vec(), Ok(())));
    assert_eq!(world.registry.requests().len(), 15);
}

#[tokio::test]
async fn a_part_that_breaks_off_within_a_chunk_is_resumed_there() {
    let world = FetchFixture::new().await;
    let size = 9 * CHUNK;
    let body = bytes(size);
    let digest = Digest::of(&body);
    let wanted = FetchSpec {
        extent: Extent::Parts,
        ..world.wanted(&digest)
    };
    let part = 5 * CHUNK..5 * CHUNK + 10;
    let treat = Treat {
        bytes: body.clone(),
        // The first one is for the HEAD.
        cuts: [size, part.start + 400_000, part.start + 900_000].into(),
        ..Treat::default()
    };
    world.registry.put(&digest, treat);
    let following = world.fetches.join_or_start(wanted);
    let read: Vec<_> = following.read(part.clone()).try_collect().await.expect("read");
    let (start, end) = (part.start as usize, part.end as usize);
    assert_eq!(read.concat(), body.slice(start..end));
    let resumed = format!("bytes={}-", part.start + 400_000);
    let ranges = world.registry.ranges();
    let is_resumed = |range: &Option<String>| range.as_ref().is_some_and(|range| range.starts_with(&resumed));
    assert!(ranges.iter().any(is_resumed), "{ranges:?}");
}

/// A registry that sends no length, and waits before the third chunk.
fn without_length(world: &FetchFixture, body: &bytes::Bytes) -> (Digest, CancellationToken) {
    let (digest, goes_on) = (Digest::of(body), CancellationToken::new());
    let treat = Treat {
        bytes: body.clone(),
        has_no_length: true,
        hold: Some((2 * CHUNK, goes_on.clone())),
        ..Treat::default()
    };
    world.registry.put(&digest, treat);
    (digest, goes_on)
}

#[tokio::test]
async fn a_body_without_a_length_has_the_size_that_its_manifest_names() {
    let world = FetchFixture::new().await;
    let body = bytes(4 * CHUNK + 5);
    let size = body.len() as u64;
    let (digest, goes_on) = without_length(&world, &body);
    let wanted = FetchSpec {
        size_hint: Some(size),
        ..world.wanted(&digest)
    };
    let following = world.fetches.join_or_start(wanted);
    assert_eq!(following.size().await, Ok(size), "while the registry still waits");
    goes_on.cancel();
    let read: Vec<_> = following
        .read_sized(0..size, size)
        .try_collect()
        .await
        .expect("read");
    assert_eq!(read.concat(), body);
}

#[tokio::test]
async fn an_object_with_another_size_than_its_manifest_names_is_never_complete() {
    let body = bytes(4 * CHUNK + 5);
    for told in [3 * CHUNK, body.len() as u64 + CHUNK] {
        let world = FetchFixture::new().await;
        let (digest, goes_on) = without_length(&world, &body);
        let wanted = FetchSpec {
            size_hint: Some(told),
            ..world.wanted(&digest)
        };
        let following = world.fetches.join_or_start(wanted);
        assert_eq!(following.size().await, Ok(told));
        goes_on.cancel();
        let read: Result<Vec<_>, _> = following.read_sized(0..told, told).try_collect().await;
        assert_eq!(read.expect_err("another size").word(), "wrong_size");
    }
}

#[tokio::test]
async fn wrong_bytes_are_never_served_as_complete() {
    let world = FetchFixture::new().await;
    let size = 2 * CHUNK + 500_000;
    let body = bytes(size);
    let digest = Digest::of(&body);
    let goes_on = CancellationToken::new();
    let treat = Treat {
        bytes: with_byte_changed(&body, 10),
        hold: Some((size - 1, goes_on.clone())),
        ..Treat::default()
    };
    world.registry.put(&digest, treat);
    let following = world.fetch(&digest);
    let mut reading: Reading = Box::pin(following.read(0..u64::MAX));
    let before = read_what_comes(&mut reading).await.len() as u64;
    assert_eq!(before, 2 * CHUNK, "all but the last chunk");
    goes_on.cancel();
    let next = reading.next().await.expect("no end without an error");
    assert!(next.is_err(), "another byte of a wrong object");
    let error = following.sealed().await.expect_err("not sealed");
    let by_registry = matches!(
        error,
        FetchError::WrongBytes {
            side: Side::Registry,
            ..
        }
    );
    assert!(by_registry, "{error}");
    assert!(world.store.sealed(&digest).is_none());
    let kept = world.store.partial(&digest).await.expect("opened");
    assert!(kept.is_empty(), "wrong bytes were kept");
}

#[tokio::test]
async fn an_unexpected_size_fails_the_fetch() {
    let world = FetchFixture::new().await;
    let body = bytes(CHUNK);
    let digest = world.registry.serve(&body);
    let mut wanted = world.wanted(&digest);
    wanted.size = Some(77);
    let error = world
        .fetches
        .join_or_start(wanted)
        .sealed()
        .await
        .expect_err("refused");
    assert_eq!(error.word(), "wrong_size");
    assert!(world.store.partial(&digest).await.expect("opened").is_empty());
}

#[tokio::test]
async fn an_object_that_does_not_exist_fails_on_the_caller_s_side() {
    let world = FetchFixture::new().await;
    let digest = Digest::of(b"nobody has this");
    let error = world.fetch(&digest).size().await.expect_err("not there");
    assert_eq!((error.side(), error.word()), (Side::Caller, "not_found"));
}

#[tokio::test]
async fn without_parents_and_registry_nothing_is_requested() {
    let world = FetchFixture::new().await;
    let digest = world.registry.serve(&bytes(10));
    let mut wanted = world.wanted(&digest);
    wanted.registry_allowed = false;
    let error = world
        .fetches
        .join_or_start(wanted)
        .sealed()
        .await
        .expect_err("no source");
    assert_eq!(error.side(), Side::Peer);
    assert_eq!(world.registry.requests(), Vec::<RecordedRequest>::new());
}

#[tokio::test]
async fn a_manifest_is_kept_with_its_media_type() {
    let world = FetchFixture::new().await;
    let body = bytes::Bytes::from_static(
        br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#,
    );
    let digest = Digest::of(&body);
    let media_type = "application/vnd.oci.image.index.v1+json";
    world.registry.put(
        &digest,
        Treat {
            bytes: body.clone(),
            media_type: Some(media_type),
            ..Treat::default()
        },
    );
    let mut wanted = world.wanted(&digest);
    wanted.kind = ObjectKind::Manifest;
    let following = world.fetches.join_or_start(wanted);
    assert_eq!(read_all(&following).await.0, body);
    following.sealed().await.expect("sealed");
    let about = world.store.about(&digest).expect("held");
    assert_eq!(
        (about.kind, about.media_type.as_deref()),
        (ObjectKind::Manifest, Some(media_type))
    );
    assert!(world.registry.requests()[0].path.contains("/manifests/"));
}

#[tokio::test]
async fn waiting_for_a_free_connection_is_no_failure() {
    let world = FetchFixture::new().await;
    let (first, second) = (bytes(200_000), bytes(100_000));
    let go_on = CancellationToken::new();
    let held = Treat {
        bytes: first.clone(),
        hold: Some((100_000, go_on.clone())),
        ..Treat::default()
    };
    let first = Digest::of(&first);
    world.registry.put(&first, held);
    let second = world.registry.serve(&second);
    let settings = RegistrySettings {
        plain_http: true,
        max_connections: NonZeroU32::new(1),
        ..RegistrySettings::new(world.wanted(&first).location.registry().clone())
    };
    world.around.registries().configure(vec![settings]);

    let reading = world.fetch(&first);
    eventually("the first is on its way", || {
        !world.registry.requests().is_empty()
    })
    .await;
    let waiting = world.fetch(&second);
    // Far longer than one wait for a connection, and than three tries take.
    let waited = tokio::time::timeout(Duration::from_secs(3), waiting.sealed()).await;
    assert!(waited.is_err(), "it has no turn, and has not failed either");
    assert_eq!(world.registry.requests().len(), 1);
    go_on.cancel();
    reading.sealed().await.expect("sealed");
    waiting.sealed().await.expect("sealed");
}
