//! Fetches on a real small file system: room is made for them, and without room readers still get their bytes.

use futures_util::TryStreamExt as _;
use oci::Digest;
use tokio_util::sync::CancellationToken;
use wire::Side;

use store::{CHUNK, RemovalReason};
use world::SmallDisk;

use super::support::{FetchFixture, Parent, Treat, bytes, eventually, read_all, seal};
use crate::fetch::{Extent, FetchError};

async fn world_on(disk: &SmallDisk) -> FetchFixture {
    let folder = tempfile::tempdir_in(disk.path()).expect("a folder");
    FetchFixture::in_folder(folder).await
}

#[tokio::test]
async fn room_is_made_for_a_fetch() {
    let Some(disk) = SmallDisk::tmpfs(16) else { return };
    let world = world_on(&disk).await;
    for number in 0..4 {
        seal(&world.store, &bytes(3 * CHUNK - number)).await;
    }
    let body = bytes(6 * CHUNK + 77);
    let digest = world.registry.serve(&body);
    let following = world.fetch(&digest);
    assert_eq!(read_all(&following).await, (body.to_vec(), Ok(())));
    following.sealed().await.expect("kept");
    let gone = world.store.removed(RemovalReason::Evicted);
    assert!((1..=2).contains(&gone), "{gone} have gone");
    assert_eq!(world.store.totals().objects, 5 - gone);
    assert_eq!(world.store.rooms_refused(), 0);
}

/// A quota of eight chunks, and two objects of three.
async fn nearly_full_world() -> FetchFixture {
    let world = FetchFixture::with_quota(8 * CHUNK).await;
    for number in 0..2 {
        seal(&world.store, &bytes(3 * CHUNK - number)).await;
    }
    world
}

#[tokio::test]
async fn a_claimed_size_evicts_nothing() {
    for claimed in [1 << 40, 8 * CHUNK - 1] {
        let world = nearly_full_world().await;
        let body = bytes(CHUNK);
        let digest = Digest::of(&body);
        world.registry.put(
            &digest,
            Treat {
                bytes: body.slice(..3),
                claims: Some(claimed),
                ..Treat::default()
            },
        );
        let (_, ended) = read_all(&world.fetch(&digest)).await;
        ended.expect_err("three bytes are not all");
        assert_eq!(world.store.removed(RemovalReason::Evicted), 0, "{claimed}");
        assert_eq!(world.store.totals().objects, 2);
    }
}

#[tokio::test]
async fn a_large_object_fits_after_evictions() {
    let world = nearly_full_world().await;
    let body = bytes(4 * CHUNK + 77);
    let following = world.fetch(&world.registry.serve(&body));
    assert_eq!(read_all(&following).await, (body.to_vec(), Ok(())));
    following.sealed().await.expect("kept");
    assert_eq!(world.store.removed(RemovalReason::Evicted), 1);
}

#[tokio::test]
async fn an_object_that_can_never_fit_is_streamed_and_evicts_nothing() {
    for is_ordered in [true, false] {
        let world = nearly_full_world().await;
        let body = bytes(8 * CHUNK + 1);
        let mut wanted = world.wanted(&world.registry.serve(&body));
        wanted.size = is_ordered.then_some(body.len() as u64);
        let following = world.fetches.join_or_start(wanted);
        assert_eq!(read_all(&following).await, (body.to_vec(), Ok(())));
        let error = following.sealed().await.expect_err("no room");
        assert!(matches!(error, FetchError::Disk { .. }), "{error}");
        assert_eq!(world.store.removed(RemovalReason::Evicted), 0);
    }
}

#[tokio::test]
async fn room_is_made_for_parts_that_are_read() {
    let world = nearly_full_world().await;
    let body = bytes(12 * CHUNK);
    let parent = Parent::holding(&world.around, &[&body]).await;
    let mut wanted = world.wanted(&Digest::of(&body));
    wanted.parents = vec![parent.url.clone()];
    wanted.extent = Extent::Parts;
    let following = world.fetches.join_or_start(wanted);
    let part: Vec<_> = following
        .read(0..4 * CHUNK)
        .try_collect()
        .await
        .expect("the part");
    assert_eq!(part.concat(), body[..4 * 1024 * 1024]);
    assert_eq!(world.store.removed(RemovalReason::Evicted), 1);
}

#[tokio::test]
async fn readers_get_their_bytes_when_room_is_refused_midway() {
    let world = FetchFixture::with_quota(8 * CHUNK).await;
    let kept = seal(&world.store, &bytes(3 * CHUNK)).await.digest.clone();
    let body = bytes(6 * CHUNK);
    let digest = Digest::of(&body);
    let more = CancellationToken::new();
    world.registry.put(
        &digest,
        Treat {
            bytes: body.clone(),
            hold: Some((2 * CHUNK, more.clone())),
            ..Treat::default()
        },
    );
    let following = world.fetch(&digest);
    eventually("bytes have landed", || {
        std::fs::read_dir(world.dir.path().join("partial"))
            .expect("a folder")
            .flatten()
            .any(|file| file.metadata().is_ok_and(|file| file.len() >= CHUNK))
    })
    .await;
    let _hold = world.store.hold([kept.clone()]);
    more.cancel();
    assert_eq!(read_all(&following).await, (body.to_vec(), Ok(())));
    let error = following.sealed().await.expect_err("no room");
    assert_eq!(error.side(), Side::Peer);
    assert_eq!(error.word(), "disk");
    assert!(world.store.rooms_refused() > 0);
    assert!(world.store.about(&kept).is_some(), "it is held");
}

async fn with_a_full_disk(disk: &SmallDisk) {
    let world = world_on(disk).await;
    let kept = bytes(CHUNK);
    let read = seal(&world.store, &kept).await;
    let free = world.store.disk_free().expect("a disk");
    disk.fill("of-another-program", usize::try_from(free - CHUNK).expect("fits"));
    let body = bytes(3 * CHUNK + 77);
    let digest = world.registry.serve(&body);
    let following = world.fetch(&digest);
    assert_eq!(read_all(&following).await, (body.to_vec(), Ok(())));
    let error = following.sealed().await.expect_err("no room");
    assert!(matches!(error, FetchError::Disk { .. }), "{error}");
    assert_eq!(error.side(), Side::Peer);
    assert!(world.store.rooms_refused() > 0);
    assert!(world.store.about(&Digest::of(&kept)).is_some(), "it is read");
    drop(read);
    std::fs::remove_file(disk.path().join("of-another-program")).expect("removed");
    let following = world.fetch(&digest);
    following.sealed().await.expect("there is room again");
    assert_eq!(world.store.about(&digest).expect("held").size, body.len() as u64);
}

#[tokio::test]
async fn readers_get_their_bytes_when_others_fill_the_disk() {
    let Some(disk) = SmallDisk::tmpfs(16) else { return };
    with_a_full_disk(&disk).await;
}

#[tokio::test]
async fn readers_get_their_bytes_on_a_full_ext4() {
    let Some(disk) = SmallDisk::ext4(32) else { return };
    with_a_full_disk(&disk).await;
}
