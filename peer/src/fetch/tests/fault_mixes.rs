//! Any mix of sources, faults, readers and ranges gives the bytes of the object or an error, never other bytes.

use std::ops::Range;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use futures_util::future::join_all;
use oci::Digest;
use proptest::prelude::*;
use store::{CHUNK, LandError, Store};

use super::support::{FetchFixture, LIMIT, Parent, Treat, bytes, with_byte_changed};
use crate::fetch::{Extent, FetchSpec, Following};

const SIZE: u64 = 6 * CHUNK + 77;

/// How a source behaves.
#[derive(Debug, Clone)]
enum SourceBehaviour {
    Sound,
    /// One byte is wrong.
    Corrupt(u64),
    Missing,
}

#[derive(Debug, Clone)]
struct FaultMix {
    parents: Vec<SourceBehaviour>,
    registry: SourceBehaviour,
    /// Offsets where the registry breaks off, one after the other.
    cuts: Vec<u64>,
    readers: Vec<(bool, Range<u64>)>,
}

fn source() -> impl Strategy<Value = SourceBehaviour> {
    prop_oneof![
        3 => Just(SourceBehaviour::Sound),
        2 => (0..SIZE).prop_map(SourceBehaviour::Corrupt),
        1 => Just(SourceBehaviour::Missing),
    ]
}

fn range() -> impl Strategy<Value = Range<u64>> {
    (0..SIZE, 1..SIZE).prop_map(|(first, length)| first..(first + length).min(SIZE))
}

fn fault_mix() -> impl Strategy<Value = FaultMix> {
    (
        prop::collection::vec(source(), 0..4),
        source(),
        prop::collection::vec(0..SIZE, 0..3),
        prop::collection::vec((any::<bool>(), range()), 1..5),
    )
        .prop_map(|(parents, registry, cuts, readers)| FaultMix {
            parents,
            registry,
            cuts,
            readers,
        })
}

async fn parent(world: &FetchFixture, body: &Bytes, digest: &Digest, source: &SourceBehaviour) -> Parent {
    match source {
        SourceBehaviour::Missing => Parent::holding(&world.around, &[]).await,
        SourceBehaviour::Sound => Parent::holding(&world.around, &[body]).await,
        SourceBehaviour::Corrupt(at) => {
            let parent = Parent::holding(&world.around, &[body]).await;
            std::fs::write(parent.file(digest), with_byte_changed(body, *at)).expect("damaged");
            parent
        }
    }
}

fn serve(world: &FetchFixture, body: &Bytes, digest: &Digest, fault_mix: &FaultMix) {
    let bytes = match fault_mix.registry {
        SourceBehaviour::Missing => return,
        SourceBehaviour::Sound => body.clone(),
        SourceBehaviour::Corrupt(at) => with_byte_changed(body, at),
    };
    let cuts = fault_mix.cuts.iter().copied().collect();
    world.registry.put(
        digest,
        Treat {
            bytes,
            cuts,
            ..Treat::default()
        },
    );
}

/// The bytes that were read, and whether they were all.
async fn read(following: &Following, range: Range<u64>) -> (Vec<u8>, bool) {
    let mut got = Vec::new();
    let mut reading = Box::pin(following.read(range));
    loop {
        match tokio::time::timeout(LIMIT, reading.try_next())
            .await
            .expect("an end")
        {
            Ok(Some(part)) => got.extend_from_slice(&part),
            Ok(None) => return (got, true),
            Err(_) => return (got, false),
        }
    }
}

/// The registry is the only source that cannot be checked before the whole is here.
fn may_stream_wrong_bytes(fault_mix: &FaultMix) -> bool {
    matches!(fault_mix.registry, SourceBehaviour::Corrupt(_))
}

async fn holds_in(fault_mix: FaultMix, body: &Bytes) {
    let world = FetchFixture::new().await;
    let digest = Digest::of(body);
    serve(&world, body, &digest, &fault_mix);
    let making = fault_mix
        .parents
        .iter()
        .map(|source| parent(&world, body, &digest, source));
    let parents = join_all(making).await;
    let readers = fault_mix.readers.iter().map(|(whole, range)| {
        let wanted = FetchSpec {
            parents: parents.iter().map(|parent| parent.url.clone()).collect(),
            extent: if *whole { Extent::Whole } else { Extent::Parts },
            ..world.wanted(&digest)
        };
        let following = world.fetches.join_or_start(wanted);
        let range = if *whole { 0..SIZE } else { range.clone() };
        async move {
            let (got, all) = read(&following, range.clone()).await;
            (range, got, all)
        }
    });
    for (range, got, all) in join_all(readers).await {
        let expected = &body[range.start as usize..range.end as usize];
        assert!(got.len() <= expected.len());
        if !may_stream_wrong_bytes(&fault_mix) {
            assert!(got == expected[..got.len()], "other bytes of {range:?}");
        }
        assert!(
            !all || got.len() == expected.len(),
            "{range:?} ended early as if it were whole"
        );
        // A reader that reaches the end has a proven object.
        assert!(
            !all || range.end < SIZE || got == expected,
            "other bytes of {range:?}"
        );
    }
    if let Some(sealed) = world.store.sealed(&digest) {
        assert!(
            std::fs::read(sealed.path()).expect("read") == *body,
            "sealed with other bytes"
        );
    }
}

#[test]
fn any_mix_of_faults_gives_the_right_bytes_or_an_error() {
    let runtime = super::laws::runtime();
    let body = bytes(SIZE);
    let config = ProptestConfig {
        failure_persistence: None,
        max_shrink_iters: 32,
        ..ProptestConfig::with_cases(24)
    };
    proptest!(config, |(fault_mix in fault_mix())| {
        runtime.block_on(holds_in(fault_mix, &body));
    });
}

/// A step of landing: bytes at the frontier, a whole chunk, a wrong chunk, or a crash.
#[derive(Debug, Clone)]
enum LandingStep {
    Append(usize),
    Chunk(u64),
    WrongChunk(u64),
    Crash,
}

fn step() -> impl Strategy<Value = LandingStep> {
    prop_oneof![
        4 => (1_usize..1_500_000).prop_map(LandingStep::Append),
        6 => (0_u64..5).prop_map(LandingStep::Chunk),
        1 => (0_u64..5).prop_map(LandingStep::WrongChunk),
        1 => Just(LandingStep::Crash),
    ]
}

fn chunk_of(body: &Bytes, number: u64) -> Bytes {
    let begin = (number * CHUNK).min(body.len() as u64) as usize;
    let end = ((number + 1) * CHUNK).min(body.len() as u64) as usize;
    body.slice(begin..end)
}

async fn lands(steps: Vec<LandingStep>, body: &Bytes) {
    let dir = tempfile::tempdir().expect("a folder");
    let digest = Digest::of(body);
    let store = Store::open(dir.path()).expect("a store");
    let mut partial = store.partial(&digest).await.expect("a partial");
    for step in steps {
        match step {
            LandingStep::Append(length) => {
                let at = partial.len() as usize;
                let end = (at + length).min(body.len());
                partial.append(body.slice(at..end)).await.expect("landed");
            }
            LandingStep::Chunk(number) => {
                let chunk = chunk_of(body, number);
                let hash = *blake3::hash(&chunk).as_bytes();
                if !chunk.is_empty() {
                    partial
                        .land_chunk(number, chunk, Some(hash))
                        .await
                        .expect("landed");
                }
            }
            LandingStep::WrongChunk(number) => {
                let chunk = chunk_of(body, number);
                let hash = *blake3::hash(&chunk).as_bytes();
                let wrong = Bytes::from(vec![7; chunk.len()]);
                let landed = partial.land_chunk(number, wrong, Some(hash)).await;
                assert!(matches!(landed, Err(LandError::WrongChunk)));
            }
            LandingStep::Crash => {
                drop(partial);
                partial = store.partial(&digest).await.expect("a partial");
            }
        }
        let there = partial.view().readable_from(0, body.len() as u64);
        assert!(there >= partial.len());
        let file = std::fs::read(dir.path().join(format!("partial/{}.part", digest.hex()))).expect("read");
        assert!(
            file[..there as usize] == body[..there as usize],
            "other bytes are readable"
        );
    }
    let rest = body.slice(partial.len() as usize..);
    partial.append(rest).await.expect("landed");
    let proven = partial.prove().await.expect("read").expect("the right bytes");
    let sealed = proven.seal(None, wire::ObjectKind::Blob).await.expect("sealed");
    let hashes: Vec<u8> = body
        .chunks(CHUNK as usize)
        .flat_map(|chunk| *blake3::hash(chunk).as_bytes())
        .collect();
    assert_eq!(sealed.chunk_hashes().expect("hashes").to_bytes(), hashes);
}

#[test]
fn the_order_of_landing_does_not_change_the_object() {
    let runtime = super::laws::runtime();
    let body = bytes(4 * CHUNK + 999);
    let config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(48)
    };
    proptest!(config, |(steps in prop::collection::vec(step(), 0..14))| {
        runtime.block_on(lands(steps, &body));
    });
}
