//! A fetch resumes from the good part of what a crash leaves.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use oci::Digest;

use super::support::{FetchFixture, bytes, read_all};
use store::{CHUNK, Store};

/// A folder as a killed peer leaves it: 3.5 chunks have landed.
async fn crashed(body: &Bytes) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    let store = Store::open(dir.path()).expect("a store");
    let partial = store.partial(&Digest::of(body)).await.expect("a partial");
    partial
        .append(body.slice(..(3 * CHUNK + CHUNK / 2) as usize))
        .await
        .expect("landed");
    drop(partial);
    drop(store);
    dir
}

fn part(dir: &Path, digest: &Digest, ending: &str) -> PathBuf {
    dir.join("partial").join(format!("{}.{ending}", digest.hex()))
}

async fn goes_on_from(dir: tempfile::TempDir, body: &Bytes, from: u64) {
    let world = FetchFixture::in_folder(dir).await;
    let digest = world.registry.serve(body);
    let following = world.fetch(&digest);
    assert_eq!(read_all(&following).await, (body.to_vec(), Ok(())));
    let report = following.sealed().await.expect("sealed");
    assert_eq!(report.bytes_from_registry, body.len() as u64 - from);
    let expected = (from > 0).then(|| format!("bytes={from}-"));
    assert_eq!(world.registry.ranges(), [expected]);
}

#[tokio::test]
async fn a_partial_object_is_resumed_after_a_crash() {
    let body = bytes(5 * CHUNK + 1);
    let dir = crashed(&body).await;
    goes_on_from(dir, &body, 3 * CHUNK).await;
}

#[tokio::test]
async fn a_torn_tail_is_cut_off() {
    let body = bytes(5 * CHUNK + 1);
    let dir = crashed(&body).await;
    let mut file = OpenOptions::new()
        .append(true)
        .open(part(dir.path(), &Digest::of(&body), "part"))
        .expect("opened");
    file.write_all(&vec![9; 2 * CHUNK as usize]).expect("torn");
    goes_on_from(dir, &body, 3 * CHUNK).await;
}

#[tokio::test]
async fn a_damaged_chunk_is_fetched_again_with_all_after_it() {
    let body = bytes(5 * CHUNK + 1);
    let dir = crashed(&body).await;
    let file = OpenOptions::new()
        .write(true)
        .open(part(dir.path(), &Digest::of(&body), "part"))
        .expect("opened");
    file.write_all_at(b"rotten", CHUNK + 3).expect("rotten");
    goes_on_from(dir, &body, CHUNK).await;
}

#[tokio::test]
async fn bytes_without_listed_hashes_are_discarded() {
    let body = bytes(5 * CHUNK + 1);
    let dir = crashed(&body).await;
    std::fs::remove_file(part(dir.path(), &Digest::of(&body), "chunks")).expect("removed");
    goes_on_from(dir, &body, 0).await;
}

#[tokio::test]
async fn a_complete_partial_object_is_proven_after_its_last_chunk() {
    let body = bytes(4 * CHUNK);
    let dir = tempfile::tempdir().expect("a folder");
    let store = Store::open(dir.path()).expect("a store");
    let partial = store.partial(&Digest::of(&body)).await.expect("a partial");
    partial.append(body.clone()).await.expect("landed");
    drop((partial, store));
    goes_on_from(dir, &body, 3 * CHUNK).await;
}
