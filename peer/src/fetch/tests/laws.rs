//! Properties of every object, for any way in which its bytes come and any range that is read.

use bytes::Bytes;
use futures_util::{TryStreamExt as _, stream};
use oci::Digest;
use proptest::prelude::*;
use store::{CHUNK, Store};
use wire::ObjectKind;

use super::support::{FetchFixture, bytes};
use crate::fetch::batches::{Batches, NextBatch};

pub(super) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
}

/// Cuts the body into parts of the given lengths; the rest is one part.
fn cut(body: &Bytes, lengths: &[usize]) -> Vec<Bytes> {
    let mut rest = body.clone();
    let mut parts: Vec<Bytes> = lengths
        .iter()
        .map(|length| rest.split_to(rest.len().min(*length)))
        .collect();
    parts.push(rest);
    parts
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) })]

    #[test]
    fn every_way_of_cutting_gives_the_same_object(
        size in 0..3 * CHUNK,
        lengths in prop::collection::vec(0_usize..700_000, 0..12),
    ) {
        let body = bytes(size);
        let digest = Digest::of(&body);
        runtime().block_on(async {
            let dir = tempfile::tempdir().expect("a folder");
            let store = Store::open(dir.path()).expect("a store");
            let partial = store.partial(&digest).await.expect("a partial");
            for part in cut(&body, &lengths) {
                partial.append(part).await.expect("landed");
            }
            let proven = partial.prove().await.expect("read").expect("the right bytes");
            let sealed = proven.seal(None, ObjectKind::Blob).await.expect("sealed");
            assert_eq!(std::fs::read(sealed.path()).expect("read"), body);
            let hashes: Vec<u8> =
                body.chunks(CHUNK as usize).flat_map(|chunk| *blake3::hash(chunk).as_bytes()).collect();
            assert_eq!(sealed.chunk_hashes().expect("hashes").to_bytes(), hashes);
        });
    }

    #[test]
    fn blocks_are_the_object_whatever_the_pieces(
        size in 0..3 * CHUNK,
        lengths in prop::collection::vec(0_usize..700_000, 0..12),
        whole_chunks: bool,
    ) {
        let body = bytes(size);
        let parts: Vec<_> = cut(&body, &lengths).into_iter().map(Ok).collect();
        runtime().block_on(async {
            let mut batches = Batches::new(Box::pin(stream::iter(parts)), 0, Some(size), whole_chunks);
            let mut got = Vec::new();
            while let NextBatch::Batch(block) = batches.next().await {
                assert!(!block.is_empty() && block.len() as u64 <= CHUNK);
                assert!(!whole_chunks || (got.len() as u64).is_multiple_of(CHUNK), "a part of a chunk");
                got.extend_from_slice(&block);
            }
            assert_eq!(got, body);
        });
    }
}

#[test]
fn a_reader_of_any_range_gets_exactly_those_bytes() {
    let runtime = runtime();
    let world = runtime.block_on(FetchFixture::new());
    let config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(24)
    };
    proptest!(config, |(size in 0..3 * CHUNK, first in 0..4 * CHUNK, length in 0..4 * CHUNK)| {
        let body = bytes(size);
        runtime.block_on(async {
            let digest = world.registry.serve(&body);
            let following = world.fetch(&digest);
            let end = first + length;
            let expected = &body[first.min(size) as usize..end.min(size) as usize];
            for when in ["while it runs", "once it is sealed"] {
                let got: Vec<Bytes> = following.read(first..end).try_collect().await.expect(when);
                assert!(got.concat() == expected, "{when}");
                following.sealed().await.expect("sealed");
            }
        });
    });
}
