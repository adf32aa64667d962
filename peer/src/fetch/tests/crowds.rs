//! Many peers that fetch one object at the same time, and readers of parts.

use std::ops::Range;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use futures_util::future::join_all;
use oci::Digest;
use store::{CHUNK, Store};
use tempfile::TempDir;

use super::support::{
    FakeSurroundings, FetchFixture, LIMIT, Parent, bytes, read_all, shown_to_a_peer, unlimited,
    with_byte_changed,
};
use crate::fetch::{Extent, FetchSpec, Fetches, Following, Sources};
use crate::metrics::PeerMetrics;
use crate::share::ShareState;

/// A node that shares what it fetches.
struct Node {
    store: Store,
    fetches: Fetches,
    _dir: TempDir,
}

impl Node {
    fn new(around: &FakeSurroundings) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let store = Store::open(dir.path()).expect("a store");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let around = around.at(&url);
        let http = process::http::client(&process::http::ClientOptions::default()).expect("a client");
        let fetches = Fetches::new(
            store.clone(),
            Sources::new(http, around, unlimited()),
            process::Running::new(),
            PeerMetrics::default(),
        );
        let state =
            ShareState::new(store.clone(), unlimited(), &PeerMetrics::default()).sharing(fetches.clone());
        super::support::serve_on(listener, shown_to_a_peer(state));
        Self {
            store,
            fetches,
            _dir: dir,
        }
    }
}

fn nodes(world: &FetchFixture, count: usize) -> Vec<Node> {
    (0..count).map(|_| Node::new(&world.around)).collect()
}

fn from_parents(world: &FetchFixture, digest: &Digest, parents: &[&Parent]) -> FetchSpec {
    FetchSpec {
        parents: parents.iter().map(|parent| parent.url.clone()).collect(),
        ..world.wanted(digest)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_fetch_at_once_take_chunks_from_each_other() {
    let world = FetchFixture::new().await;
    let body = bytes(24 * CHUNK + 5);
    let digest = Digest::of(&body);
    let seed = Parent::holding(&world.around, &[&body]).await;
    let nodes = nodes(&world, 4);
    let reports = join_all(nodes.iter().map(async |node| {
        let following = node
            .fetches
            .join_or_start(from_parents(&world, &digest, &[&seed]));
        assert_eq!(read_all(&following).await, (body.to_vec(), Ok(())));
        following.sealed().await.expect("sealed")
    }))
    .await;
    let by_seed: u64 = reports
        .iter()
        .flat_map(|report| &report.sources)
        .filter(|used| used.source == seed.url)
        .map(|used| used.bytes)
        .sum();
    // Alone, each node would have taken all of it from the seed.
    assert!(by_seed < 3 * body.len() as u64, "{reports:?}");
    assert!(world.registry.requests().is_empty());
    for node in &nodes {
        assert!(node.store.sealed(&digest).is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_come_from_two_seeds_and_a_corrupt_one_is_left_out() {
    let world = FetchFixture::new().await;
    let body = bytes(20 * CHUNK);
    let digest = world.registry.serve(&body);
    let sound = Parent::holding(&world.around, &[&body]).await;
    let damaged = Parent::holding(&world.around, &[&body]).await;
    std::fs::write(damaged.file(&digest), with_byte_changed(&body, 11 * CHUNK + 9)).expect("damaged");
    let following = world
        .fetches
        .join_or_start(from_parents(&world, &digest, &[&sound, &damaged]));
    assert_eq!(read_all(&following).await, (body.to_vec(), Ok(())));
    let report = following.sealed().await.expect("sealed");
    assert_eq!(report.bytes_from_peers, 20 * CHUNK, "{report:?}");
    assert!(world.registry.requests().is_empty());
}

async fn read_part(following: &Following, range: Range<u64>) -> Vec<u8> {
    let reading = following.read(range).try_collect::<Vec<Bytes>>();
    let parts = tokio::time::timeout(LIMIT, reading)
        .await
        .expect("within the limit");
    parts.expect("read").concat()
}

fn parts_of(wanted: FetchSpec) -> FetchSpec {
    FetchSpec {
        extent: Extent::Parts,
        ..wanted
    }
}

#[tokio::test]
async fn a_reader_of_a_part_fetches_only_that_part() {
    let world = FetchFixture::new().await;
    let body = bytes(40 * CHUNK);
    let digest = world.registry.serve(&body);
    let following = world.fetches.join_or_start(parts_of(world.wanted(&digest)));
    assert_eq!(following.size().await, Ok(40 * CHUNK));
    let part = 17 * CHUNK + 100..17 * CHUNK + 70_000;
    let read = read_part(&following, part.clone()).await;
    assert_eq!(read, body[part.start as usize..part.end as usize]);
    let ranges: Vec<String> = world.registry.ranges().into_iter().flatten().collect();
    assert_eq!(ranges, [format!("bytes={}-{}", 17 * CHUNK, 18 * CHUNK - 1)]);
    assert!(world.store.sealed(&digest).is_none());
}

#[tokio::test]
async fn parts_are_kept_and_only_missing_chunks_are_fetched_for_the_whole() {
    let world = FetchFixture::new().await;
    let body = bytes(12 * CHUNK + 1);
    let digest = world.registry.serve(&body);
    let following = world.fetches.join_or_start(parts_of(world.wanted(&digest)));
    following.size().await.expect("known");
    assert_eq!(
        read_part(&following, 5 * CHUNK..5 * CHUNK + 1).await,
        body[5 * CHUNK as usize..=5 * CHUNK as usize]
    );
    let whole = world.fetch(&digest);
    assert_eq!(read_all(&whole).await, (body.to_vec(), Ok(())));
    whole.sealed().await.expect("sealed");
}

#[tokio::test]
async fn the_last_chunk_of_a_part_waits_for_a_proof() {
    let world = FetchFixture::new().await;
    let body = bytes(9 * CHUNK + 20);
    let digest = Digest::of(&body);
    // The registry's bytes are not the digest's.
    let wrong = with_byte_changed(&body, 3 * CHUNK);
    world.registry.put(
        &digest,
        super::support::Treat {
            bytes: wrong,
            ..super::support::Treat::default()
        },
    );
    let following = world.fetches.join_or_start(parts_of(world.wanted(&digest)));
    following.size().await.expect("known");
    let reading = following
        .read(9 * CHUNK + 10..9 * CHUNK + 20)
        .try_collect::<Vec<Bytes>>();
    let read = tokio::time::timeout(LIMIT, reading)
        .await
        .expect("within the limit");
    assert!(read.is_err(), "bytes of an object that is wrong");
}

#[tokio::test]
async fn a_seed_that_vouches_gives_the_last_chunk_alone() {
    let world = FetchFixture::new().await;
    let body = bytes(9 * CHUNK + 20);
    let digest = Digest::of(&body);
    let seed = Parent::holding(&world.around, &[&body]).await;
    let wanted = parts_of(from_parents(&world, &digest, &[&seed]));
    let following = world.fetches.join_or_start(wanted);
    following.size().await.expect("known");
    let part = 9 * CHUNK + 10..9 * CHUNK + 20;
    assert_eq!(
        read_part(&following, part.clone()).await,
        body[part.start as usize..part.end as usize]
    );
    assert!(world.store.sealed(&digest).is_none());
}

fn claimed_small(world: &FetchFixture, digest: &Digest) -> FetchSpec {
    FetchSpec {
        size_hint: Some(65_536),
        ..world.wanted(digest)
    }
}

#[tokio::test]
async fn a_small_object_is_requested_once_and_sealed() {
    let world = FetchFixture::new().await;
    let body = bytes(65_536);
    let digest = world.registry.serve(&body);
    let following = world.fetches.join_or_start(claimed_small(&world, &digest));
    assert_eq!(read_all(&following).await, (body.to_vec(), Ok(())));
    following.sealed().await.expect("sealed");
    assert_eq!(world.registry.requests().len(), 1);
    let sealed = world.store.sealed(&digest).expect("held");
    assert_eq!(std::fs::read(sealed.path()).expect("read"), body);
    assert_eq!(sealed.chunk_hashes().expect("hashes").size(), 65_536);
}

#[tokio::test]
async fn no_byte_of_a_wrong_small_object_is_given_out() {
    let world = FetchFixture::new().await;
    let body = bytes(65_536);
    let digest = Digest::of(&body);
    world.registry.put(
        &digest,
        super::support::Treat {
            bytes: with_byte_changed(&body, 5),
            ..super::support::Treat::default()
        },
    );
    let following = world.fetches.join_or_start(claimed_small(&world, &digest));
    let (got, ended) = read_all(&following).await;
    assert!(got.is_empty() && ended.is_err(), "{ended:?}");
}

#[tokio::test]
async fn an_object_larger_than_announced_is_fetched() {
    let world = FetchFixture::new().await;
    let body = bytes(3 * CHUNK + 1);
    let digest = world.registry.serve(&body);
    let following = world.fetches.join_or_start(claimed_small(&world, &digest));
    assert_eq!(read_all(&following).await, (body.to_vec(), Ok(())));
    following.sealed().await.expect("sealed");
}

#[tokio::test]
async fn a_vouched_last_chunk_does_not_end_a_part_that_nobody_vouched_for() {
    let world = FetchFixture::new().await;
    let body = bytes(9 * CHUNK + 20);
    let digest = Digest::of(&body);
    // The seed's copy of one chunk is damaged, and so is the registry's.
    let seed = Parent::holding(&world.around, &[&body]).await;
    std::fs::write(seed.file(&digest), with_byte_changed(&body, 8 * CHUNK + 3)).expect("damaged");
    world.registry.put(
        &digest,
        super::support::Treat {
            bytes: with_byte_changed(&body, 8 * CHUNK + 9),
            ..super::support::Treat::default()
        },
    );
    let wanted = parts_of(from_parents(&world, &digest, &[&seed]));
    let following = world.fetches.join_or_start(wanted);
    following.size().await.expect("known");
    let last = 9 * CHUNK + 10..9 * CHUNK + 20;
    read_part(&following, last).await;
    let reading = following
        .read(8 * CHUNK..9 * CHUNK + 20)
        .try_collect::<Vec<Bytes>>();
    let read = tokio::time::timeout(LIMIT, reading)
        .await
        .expect("within the limit");
    assert!(read.is_err(), "a part with other bytes ended as if it were right");
}
