//! Quota, eviction, pins, time to live and a full disk, on real small file systems.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use oci::Digest;
use tempfile::TempDir;
use wire::{Block, ImageRules, Pin, Recall, RuledImage};

use crate::testing::{bytes, seal};
use crate::{Amount, CHUNK, GrowingRoom, NoRoom, RemovalReason, Room, Store, StoreLimits};
use world::SmallDisk;

const DAY: i64 = 86_400_000;

/// A store with a clock that the test sets.
struct StoreFixture {
    store: Store,
    clock: Arc<AtomicI64>,
}

impl StoreFixture {
    fn open(folder: &Path, limits: StoreLimits) -> Self {
        Self::open_at(folder, limits, DAY)
    }

    fn open_at(folder: &Path, limits: StoreLimits, now: i64) -> Self {
        let clock = Arc::new(AtomicI64::new(now));
        let shared = Arc::clone(&clock);
        let store = Store::open_with(
            &folder.join("store"),
            limits,
            Box::new(move || shared.load(Ordering::Relaxed)),
        );
        Self {
            store: store.expect("a store"),
            clock,
        }
    }

    fn later(&self, milliseconds: i64) {
        self.clock.fetch_add(milliseconds, Ordering::Relaxed);
    }

    /// Objects of some MiB each, the first one used first.
    async fn objects(&self, count: u64, mib: u64) -> Vec<Digest> {
        let mut digests = Vec::new();
        for number in 0..count {
            self.later(60_000);
            let body = bytes(mib * CHUNK - number);
            seal(&self.store, &body).await;
            digests.push(Digest::of(&body));
        }
        self.later(60_000);
        digests
    }

    async fn room_for(&self, bytes: u64) -> Result<Room, NoRoom> {
        self.store
            .make_room(&Digest::of(&bytes.to_be_bytes()), bytes)
            .await
    }

    fn holds(&self, digests: &[Digest]) -> Vec<bool> {
        let is_here = |digest| self.store.about(digest).is_some();
        digests.iter().map(is_here).collect()
    }
}

fn quota(mib: u64) -> StoreLimits {
    StoreLimits {
        quota: Some(mib * CHUNK),
        ..StoreLimits::default()
    }
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn image(digests: &[Digest]) -> RuledImage {
    RuledImage {
        image: "registry.lan/app:1".to_owned(),
        registry: "registry.lan".to_owned(),
        repository: "app".to_owned(),
        tag: Some("1".to_owned()),
        digests: digests.iter().map(ToString::to_string).collect(),
    }
}

fn pinned(digests: &[Digest], until_unix_ms: Option<i64>) -> ImageRules {
    ImageRules {
        version: "1".to_owned(),
        pins: vec![Pin {
            image: image(digests),
            until_unix_ms,
        }],
        ..ImageRules::default()
    }
}

#[tokio::test]
async fn the_object_used_longest_ago_is_evicted_when_the_disk_is_full() {
    let Some(disk) = SmallDisk::tmpfs(16) else { return };
    let fixture = StoreFixture::open(disk.path(), StoreLimits::default());
    let objects = fixture.objects(4, 3).await;
    drop(fixture.store.sealed(&objects[0]).expect("held"));
    let _room = fixture.room_for(5 * CHUNK).await.expect("room");
    assert_eq!(fixture.holds(&objects), [true, false, true, true]);
    assert_eq!(fixture.store.removed(RemovalReason::Evicted), 1);
    let removal = fixture.store.removal(&objects[1]).expect("remembered");
    assert_eq!(removal.why, RemovalReason::Evicted);
    assert!(fixture.store.disk_free().expect("a disk") >= 5 * CHUNK);
}

#[tokio::test]
async fn eviction_frees_space_on_ext4() {
    let Some(disk) = SmallDisk::ext4(48) else { return };
    let fixture = StoreFixture::open(disk.path(), StoreLimits::default());
    let objects = fixture.objects(7, 4).await;
    let free = fixture.store.disk_free().expect("a disk");
    let _room = fixture.room_for(free + 5 * CHUNK).await.expect("room");
    assert_eq!(fixture.holds(&objects)[..3], [false, false, true]);
    assert!(fixture.store.disk_free().expect("a disk") >= free + 5 * CHUNK);
}

#[tokio::test]
async fn a_quota_counts_our_own_objects_only() {
    let Some(disk) = SmallDisk::tmpfs(32) else { return };
    let fixture = StoreFixture::open(disk.path(), quota(8));
    let objects = fixture.objects(2, 3).await;
    disk.fill("of-another-program", 12 * 1024 * 1024);
    drop(fixture.room_for(2 * CHUNK).await.expect("room below the quota"));
    assert_eq!(fixture.holds(&objects), [true, true]);
    drop(fixture.room_for(3 * CHUNK).await.expect("room once one is gone"));
    assert_eq!(fixture.holds(&objects), [false, true]);
    assert_eq!(fixture.store.capacity(), 8 * CHUNK);
}

#[tokio::test]
async fn free_space_is_kept_also_if_other_programs_fill_the_disk() {
    let Some(disk) = SmallDisk::tmpfs(32) else { return };
    let limits = StoreLimits {
        keep_free: vec![Amount::Bytes(8 * CHUNK)],
        ..StoreLimits::default()
    };
    let fixture = StoreFixture::open(disk.path(), limits);
    let objects = fixture.objects(4, 3).await;
    disk.fill("of-another-program", 14 * 1024 * 1024);
    fixture.store.sweep().await;
    assert_eq!(fixture.holds(&objects), [false, true, true, true]);
    assert!(fixture.store.disk_free().expect("a disk") >= 8 * CHUNK);
}

#[tokio::test]
async fn pinned_read_and_held_objects_stay_and_eviction_stops_if_it_cannot_help() {
    let dir = folder();
    let fixture = StoreFixture::open(dir.path(), quota(12));
    let objects = fixture.objects(4, 3).await;
    fixture.store.learn_image_rules(pinned(&objects[..1], None)).await;
    let read = fixture.store.sealed(&objects[1]).expect("held");
    let hold = fixture.store.hold([objects[2].clone(), objects[2].clone()]);
    let refused = fixture
        .room_for(4 * CHUNK)
        .await
        .expect_err("one of them is not enough");
    assert_eq!(refused.missing, CHUNK - 3);
    assert_eq!(fixture.holds(&objects), [true; 4]);
    assert_eq!(fixture.store.rooms_refused(), 1);
    let room = fixture.room_for(3 * CHUNK).await.expect("room");
    assert_eq!(fixture.holds(&objects), [true, true, true, false]);
    drop((read, hold, room));
    drop(fixture.room_for(9 * CHUNK).await.expect("room"));
    assert_eq!(fixture.holds(&objects), [true, false, false, false]);
}

#[tokio::test]
async fn an_object_stays_while_bytes_are_read_of_it() {
    let dir = folder();
    let fixture = StoreFixture::open(dir.path(), quota(4));
    let body = bytes(3 * CHUNK);
    let sealed = seal(&fixture.store, &body).await;
    let digest = sealed.digest.clone();
    let mut reading = Box::pin(sealed.read(0..sealed.size).await.expect("opens"));
    drop(sealed);
    let first = reading.try_next().await.expect("read").expect("bytes");
    fixture.room_for(2 * CHUNK).await.expect_err("it is read");
    let rest: Vec<Bytes> = reading.try_collect().await.expect("the rest");
    assert_eq!([&[first], rest.as_slice()].concat().concat(), body);
    drop(fixture.room_for(2 * CHUNK).await.expect("room"));
    assert!(fixture.store.sealed(&digest).is_none());
}

#[tokio::test]
async fn the_same_room_is_not_promised_twice() {
    let dir = folder();
    let fixture = StoreFixture::open(dir.path(), quota(8));
    let (one, other) = (fixture.room_for(5 * CHUNK), fixture.room_for(4 * CHUNK));
    let (one, other) = tokio::join!(one, other);
    assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
    drop((one, other));
    drop(fixture.room_for(8 * CHUNK).await.expect("all of it"));
}

#[tokio::test]
async fn abandoned_partial_objects_are_evicted_first() {
    let dir = folder();
    let fixture = StoreFixture::open(dir.path(), quota(8));
    let objects = fixture.objects(1, 3).await;
    let (left, written) = (Digest::of(b"left"), Digest::of(b"written"));
    let partial = fixture.store.partial(&left).await.expect("a partial");
    partial.append(bytes(2 * CHUNK)).await.expect("landed");
    drop(partial);
    let partial = fixture.store.partial(&written).await.expect("a partial");
    partial.append(bytes(CHUNK)).await.expect("landed");
    drop(fixture.room_for(3 * CHUNK).await.expect("room"));
    assert_eq!(fixture.store.landed(&left).await, None);
    assert_eq!(fixture.store.landed(&written).await, Some(CHUNK));
    assert_eq!(fixture.holds(&objects), [true]);
    fixture
        .room_for(8 * CHUNK)
        .await
        .expect_err("it is being written");
}

#[tokio::test]
async fn landed_bytes_need_no_second_room() {
    let dir = folder();
    let fixture = StoreFixture::open(dir.path(), quota(8));
    let objects = fixture.objects(1, 3).await;
    let digest = Digest::of(b"large");
    let partial = fixture.store.partial(&digest).await.expect("a partial");
    partial.append(bytes(4 * CHUNK)).await.expect("landed");
    let _room = fixture.store.make_room(&digest, 5 * CHUNK).await.expect("room");
    assert_eq!(fixture.holds(&objects), [true]);
}

#[tokio::test]
async fn room_grows_with_the_received_bytes() {
    let dir = folder();
    let fixture = StoreFixture::open(dir.path(), quota(12));
    // Six bytes are free.
    let objects = fixture.objects(4, 3).await;
    let size = Some(12 * CHUNK - 1);
    let room = GrowingRoom::new(fixture.store.clone(), Digest::of(b"large"));
    room.bytes_received(3, size).await.expect("room");
    assert_eq!(
        fixture.holds(&objects),
        [true; 4],
        "what is claimed evicts nothing"
    );
    room.bytes_received(2 * CHUNK, size).await.expect("room");
    assert_eq!(fixture.holds(&objects), [false, true, true, true]);
    room.bytes_received(3 * CHUNK, size).await.expect("room");
    assert_eq!(fixture.holds(&objects), [false, false, true, true]);
    room.begin(0).await;
    drop(
        fixture
            .room_for(6 * CHUNK)
            .await
            .expect("the promise was given back"),
    );
    assert_eq!(fixture.holds(&objects), [false, false, true, true]);
}

#[tokio::test]
async fn a_check_for_room_evicts_and_promises_nothing() {
    let dir = folder();
    let fixture = StoreFixture::open(dir.path(), quota(8));
    let objects = fixture.objects(2, 3).await;
    let _hold = fixture.store.hold([objects[1].clone()]);
    let large = Digest::of(b"large");
    fixture
        .store
        .check_room(&large, 5 * CHUNK)
        .await
        .expect("one may go");
    for too_large in [6 * CHUNK, u64::MAX] {
        let refused = fixture.store.check_room(&large, too_large).await;
        assert_eq!(refused.expect_err("the other may not").bytes, too_large);
    }
    drop(fixture.room_for(2 * CHUNK).await.expect("nothing was promised"));
    assert_eq!(fixture.holds(&objects), [true, true]);
}

#[tokio::test]
async fn no_eviction_without_use_beside_a_partial_object() {
    let dir = folder();
    let fixture = StoreFixture::open(dir.path(), quota(8));
    let objects = fixture.objects(1, 3).await;
    let partial = fixture
        .store
        .partial(&Digest::of(b"written"))
        .await
        .expect("a partial");
    partial.append(bytes(4 * CHUNK)).await.expect("landed");
    fixture
        .room_for(5 * CHUNK)
        .await
        .expect_err("what is written stays");
    assert_eq!(fixture.holds(&objects), [true]);
}

#[tokio::test]
async fn a_write_to_a_full_disk_continues_after_an_eviction() {
    let Some(disk) = SmallDisk::tmpfs(16) else { return };
    let fixture = StoreFixture::open(disk.path(), StoreLimits::default());
    let objects = fixture.objects(2, 4).await;
    let body = bytes(5 * CHUNK);
    let digest = Digest::of(&body);
    let room = fixture.store.make_room(&digest, 5 * CHUNK).await.expect("room");
    assert_eq!(fixture.holds(&objects), [true, true]);
    // Promised and not written yet: another program takes it.
    disk.fill("of-another-program", 5 * 1024 * 1024);
    let partial = fixture.store.partial(&digest).await.expect("a partial");
    let full = loop {
        let from = usize::try_from(partial.len()).expect("fits");
        let to = (from + 64 * 1024).min(body.len());
        if let Err(full) = partial.append(body.slice(from..to)).await {
            break full;
        }
        assert!(to < body.len(), "there was room for all of it");
    };
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    let again = fixture
        .store
        .make_room(&digest, 5 * CHUNK)
        .await
        .expect("room again");
    drop(room);
    assert_eq!(fixture.holds(&objects), [false, true]);
    let from = usize::try_from(partial.len()).expect("fits");
    partial.append(body.slice(from..)).await.expect("landed");
    let proven = partial.prove().await.expect("read").expect("the right bytes");
    proven.seal(None, wire::ObjectKind::Blob).await.expect("sealed");
    drop(again);
    drop(fixture);
    let fixture = StoreFixture::open(disk.path(), StoreLimits::default());
    assert_eq!(fixture.store.about(&digest).expect("held").size, 5 * CHUNK);
    assert_eq!(fixture.holds(&objects), [false, true]);
}

#[tokio::test]
async fn a_full_disk_loses_nothing_that_has_a_name() {
    let Some(disk) = SmallDisk::tmpfs(8) else { return };
    let fixture = StoreFixture::open(disk.path(), StoreLimits::default());
    let objects = fixture.objects(1, 2).await;
    let free = usize::try_from(fixture.store.disk_free().expect("a disk")).expect("fits");
    disk.fill("of-another-program", free);
    let partial = fixture
        .store
        .partial(&Digest::of(b"more"))
        .await
        .expect("a partial");
    partial.append(bytes(CHUNK)).await.expect_err("the disk is full");
    drop(partial);
    let _pins = fixture.store.learn_image_rules(pinned(&objects, None)).await;
    fixture
        .room_for(CHUNK)
        .await
        .expect_err("all that is here is pinned");
    drop(fixture);
    let fixture = StoreFixture::open(disk.path(), StoreLimits::default());
    assert_eq!(fixture.holds(&objects), [true]);
    assert!(fixture.store.is_pinned(&objects[0]) || fixture.store.known_image_rules().version.is_empty());
}

#[tokio::test]
async fn unused_objects_are_removed_and_uses_survive_a_restart() {
    let dir = folder();
    let limits = StoreLimits {
        keep_unused: Some(Duration::from_secs(30 * 86_400)),
        ..StoreLimits::default()
    };
    let fixture = StoreFixture::open(dir.path(), limits.clone());
    let objects = fixture.objects(3, 1).await;
    fixture
        .store
        .learn_image_rules(pinned(&objects[2..], Some(100 * DAY)))
        .await;
    fixture.later(20 * DAY);
    drop(fixture.store.sealed(&objects[0]).expect("held"));
    fixture.store.write_uses().await.expect("written");
    fixture.store.flush().await.expect("written");
    drop(fixture);
    let fixture = StoreFixture::open_at(dir.path(), limits, 32 * DAY);
    fixture.store.sweep().await;
    assert_eq!(fixture.holds(&objects), [true, false, true]);
    assert_eq!(fixture.store.removed(RemovalReason::Unused), 1);
    fixture.later(31 * DAY);
    fixture.store.sweep().await;
    assert_eq!(fixture.holds(&objects), [false, false, true], "a pin outlasts it");
    fixture.later(100 * DAY);
    fixture.store.sweep().await;
    assert_eq!(fixture.holds(&objects), [false; 3], "the pin has ended");
}

#[tokio::test]
async fn a_recall_runs_once_and_a_block_survives_a_restart() {
    let dir = folder();
    let fixture = StoreFixture::open(dir.path(), StoreLimits::default());
    let body = bytes(CHUNK + 1);
    let digest = Digest::of(&body);
    seal(&fixture.store, &body).await;
    let recalled = image(std::slice::from_ref(&digest));
    let rules = ImageRules {
        version: "2".to_owned(),
        blocks: vec![Block {
            image: recalled.clone(),
            text: "blocked by somebody".to_owned(),
        }],
        recalls: vec![Recall {
            number: 7,
            image: recalled,
        }],
        ..ImageRules::default()
    };
    fixture.store.learn_image_rules(rules.clone()).await;
    assert_eq!(fixture.holds(std::slice::from_ref(&digest)), [false]);
    assert_eq!(fixture.store.removed(RemovalReason::Recalled), 1);
    fixture.store.flush().await.expect("written");
    drop(fixture);
    let fixture = StoreFixture::open(dir.path(), StoreLimits::default());
    assert!(fixture.store.is_blocked(&digest));
    assert_eq!(
        fixture.store.blocked(&digest).as_deref(),
        Some("blocked by somebody")
    );
    assert!(
        fixture
            .store
            .blocked_by_name(|image| image.repository == "app")
            .is_some()
    );
    let known = fixture.store.known_image_rules();
    assert_eq!((known.version.as_str(), known.recalled), ("2", 7));
    // Fetched again: the same recall does not run twice.
    seal(&fixture.store, &body).await;
    let lifted = ImageRules {
        version: "3".to_owned(),
        ..ImageRules::default()
    };
    fixture.store.learn_image_rules(lifted).await;
    assert!(!fixture.store.is_blocked(&digest));
    assert_eq!(fixture.holds(&[digest]), [true]);
}

#[tokio::test]
async fn a_damaged_or_old_catalog_is_ignored() {
    let dir = folder();
    let fixture = StoreFixture::open(dir.path(), StoreLimits::default());
    let objects = fixture.objects(2, 1).await;
    fixture.store.write_uses().await.expect("written");
    fixture
        .store
        .describe(
            &objects[0],
            Some("application/new".to_owned()),
            wire::ObjectKind::Manifest,
        )
        .await
        .expect("described");
    drop(fixture);
    let fixture = StoreFixture::open(dir.path(), StoreLimits::default());
    let about = fixture.store.about(&objects[0]).expect("held");
    assert_eq!(about.media_type.as_deref(), Some("application/new"));
    drop(fixture);
    std::fs::write(dir.path().join("store/catalog.json"), b"[{").expect("written");
    let fixture = StoreFixture::open(dir.path(), StoreLimits::default());
    assert_eq!(fixture.holds(&objects), [true, true]);
}

/// The `restart` benchmark measures this in a release build.
#[tokio::test]
async fn a_store_of_ten_thousand_objects_opens_with_and_without_catalog() {
    const OBJECTS: u32 = 10_000;
    let dir = folder();
    let fixture = StoreFixture::open(dir.path(), StoreLimits::default());
    for number in 0..OBJECTS {
        plant(&dir.path().join("store"), &number.to_be_bytes());
    }
    drop(fixture);
    for with_list in [false, true] {
        let fixture = StoreFixture::open(dir.path(), StoreLimits::default());
        assert_eq!(
            fixture.store.totals().objects,
            u64::from(OBJECTS),
            "list: {with_list}"
        );
        fixture.store.write_uses().await.expect("written");
    }
}

/// Writes the files of a sealed object.
fn plant(store: &Path, body: &[u8]) {
    use crate::chunks::{About, ChunkHashes, sidecar};
    let layout = crate::layout::Layout::new(store);
    let digest = Digest::of(body);
    let about = About {
        media_type: Some("application/vnd.oci.image.layer.v1.tar+gzip".to_owned()),
        kind: wire::ObjectKind::Blob,
        size: body.len() as u64,
    };
    let hash = *blake3::hash(body).as_bytes();
    let hashes = ChunkHashes::new(about.size, vec![hash]).expect("one chunk");
    std::fs::write(layout.sealed(&digest), body).expect("written");
    std::fs::write(
        layout.sealed_chunks(&digest),
        sidecar(&about, &hashes).expect("bytes"),
    )
    .expect("written");
}
