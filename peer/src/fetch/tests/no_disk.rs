//! A full disk. `/dev/full` in the place of a file is one, without special rights.

use std::os::unix::fs::symlink;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use oci::Digest;
use store::{CHUNK, last_chunk_begins};
use wire::Side;

use super::support::{FetchFixture, Parent, Treat, bytes, read_all, with_byte_changed};
use crate::fetch::FetchError;

async fn world_without_room_for(digest: &Digest, file: &str) -> FetchFixture {
    let world = FetchFixture::new().await;
    let place = world
        .dir
        .path()
        .join("partial")
        .join(format!("{}.{file}", digest.hex()));
    symlink("/dev/full", place).expect("linked");
    world
}

async fn readers_get_it(world: &FetchFixture, body: &Bytes) {
    let digest = world.registry.serve(body);
    let following = world.fetch(&digest);
    assert_eq!(following.size().await, Ok(body.len() as u64));
    assert_eq!(read_all(&following).await, (body.to_vec(), Ok(())));
    let range = CHUNK - 5..2 * CHUNK + 5;
    let part: Vec<Bytes> = following
        .read(range.clone())
        .try_collect()
        .await
        .expect("the range");
    assert_eq!(part.concat(), body[range.start as usize..range.end as usize]);
    let error = following.sealed().await.expect_err("no room");
    assert!(matches!(error, FetchError::Disk { .. }), "{error}");
    assert_eq!(error.side(), Side::Peer);
    assert!(
        error
            .to_string()
            .contains(&world.dir.path().display().to_string()),
        "{error}"
    );
    assert!(world.store.sealed(&digest).is_none());
}

#[tokio::test]
async fn readers_get_their_bytes_when_nothing_can_be_written() {
    let body = bytes(3 * CHUNK + 77);
    let world = world_without_room_for(&Digest::of(&body), "part").await;
    readers_get_it(&world, &body).await;
}

#[tokio::test]
async fn readers_get_their_bytes_when_the_disk_fills_up_midway() {
    let body = bytes(3 * CHUNK + 77);
    // The list of hashes is first written when a chunk is full: some bytes have landed by then.
    let world = world_without_room_for(&Digest::of(&body), "chunks").await;
    readers_get_it(&world, &body).await;
}

#[tokio::test]
async fn readers_continue_with_a_parent_when_the_disk_is_full() {
    let body = bytes(2 * CHUNK + 1);
    let digest = Digest::of(&body);
    let world = world_without_room_for(&digest, "part").await;
    let parent = Parent::holding(&world.around, &[&body]).await;
    let mut wanted = world.wanted(&digest);
    wanted.parents = vec![parent.url.clone()];
    assert_eq!(
        read_all(&world.fetches.join_or_start(wanted)).await,
        (body.to_vec(), Ok(()))
    );
}

#[tokio::test]
async fn without_a_disk_the_last_chunk_waits_for_the_proof_too() {
    let body = bytes(2 * CHUNK + 77);
    let digest = Digest::of(&body);
    let world = world_without_room_for(&digest, "part").await;
    world.registry.put(
        &digest,
        Treat {
            bytes: with_byte_changed(&body, 0),
            ..Treat::default()
        },
    );
    let (got, ended) = read_all(&world.fetch(&digest)).await;
    assert!(got.len() as u64 <= last_chunk_begins(body.len() as u64));
    assert!(matches!(ended, Err(FetchError::WrongBytes { .. })), "{ended:?}");
}

#[tokio::test]
async fn without_a_disk_a_broken_body_is_resumed_too() {
    let body = bytes(3 * CHUNK);
    let digest = Digest::of(&body);
    let world = world_without_room_for(&digest, "part").await;
    let cuts = [CHUNK, 2 * CHUNK + 9].into();
    world.registry.put(
        &digest,
        Treat {
            bytes: body.clone(),
            cuts,
            ..Treat::default()
        },
    );
    assert_eq!(read_all(&world.fetch(&digest)).await, (body.to_vec(), Ok(())));
}
