//! Fetches on a real small file system: room is made for them, and without room readers still get their bytes.

use oci::Digest;
use wire::Side;

use store::{CHUNK, RemovalReason};
use world::SmallDisk;

use super::support::{World, bytes, read_all, seal};
use crate::fetch::FetchError;

async fn world_on(disk: &SmallDisk) -> World {
    let folder = tempfile::tempdir_in(disk.path()).expect("a folder");
    World::in_folder(folder).await
}

#[tokio::test]
async fn a_fetch_has_room_made_for_it() {
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

async fn past_a_full_disk(disk: &SmallDisk) {
    let world = world_on(disk).await;
    let kept = bytes(CHUNK);
    let read = seal(&world.store, &kept).await;
    let free = world.store.disk_free().expect("a disk");
    disk.fill("of-somebody-else", usize::try_from(free - CHUNK).expect("fits"));
    let body = bytes(3 * CHUNK + 77);
    let digest = world.registry.serve(&body);
    let following = world.fetch(&digest);
    assert_eq!(read_all(&following).await, (body.to_vec(), Ok(())));
    let error = following.sealed().await.expect_err("no room");
    assert!(matches!(error, FetchError::Disk { .. }), "{error}");
    assert_eq!(error.side(), Side::Peer);
    assert!(error.to_string().contains("no room for"), "{error}");
    assert!(world.store.rooms_refused() > 0);
    assert!(world.store.about(&Digest::of(&kept)).is_some(), "it is read");
    drop(read);
    std::fs::remove_file(disk.path().join("of-somebody-else")).expect("removed");
    let following = world.fetch(&digest);
    following.sealed().await.expect("there is room again");
    assert_eq!(world.store.about(&digest).expect("held").size, body.len() as u64);
}

#[tokio::test]
async fn readers_get_their_bytes_past_a_disk_that_somebody_else_has_filled() {
    let Some(disk) = SmallDisk::tmpfs(16) else { return };
    past_a_full_disk(&disk).await;
}

#[tokio::test]
async fn readers_get_their_bytes_past_a_full_ext4_too() {
    let Some(disk) = SmallDisk::ext4(32) else { return };
    past_a_full_disk(&disk).await;
}
