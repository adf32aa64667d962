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

/// A store whose clock is told.
struct Kept {
    store: Store,
    clock: Arc<AtomicI64>,
}

impl Kept {
    fn open(folder: &Path, limits: StoreLimits) -> Self {
        Self::open_at(folder, limits, DAY)
    }

    fn open_at(folder: &Path, limits: StoreLimits, now: i64) -> Self {
        let clock = Arc::new(AtomicI64::new(now));
        let told = Arc::clone(&clock);
        let store = Store::open_with(
            &folder.join("store"),
            limits,
            Box::new(move || told.load(Ordering::Relaxed)),
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
async fn what_was_used_longest_ago_goes_when_the_disk_has_no_room() {
    let Some(disk) = SmallDisk::tmpfs(16) else { return };
    let kept = Kept::open(disk.path(), StoreLimits::default());
    let objects = kept.objects(4, 3).await;
    drop(kept.store.sealed(&objects[0]).expect("held"));
    let _room = kept.room_for(5 * CHUNK).await.expect("room");
    assert_eq!(kept.holds(&objects), [true, false, true, true]);
    assert_eq!(kept.store.removed(RemovalReason::Evicted), 1);
    let removal = kept.store.removal(&objects[1]).expect("remembered");
    assert_eq!(removal.why, RemovalReason::Evicted);
    assert!(kept.store.disk_free().expect("a disk") >= 5 * CHUNK);
}

#[tokio::test]
async fn ext4_has_room_again_too() {
    let Some(disk) = SmallDisk::ext4(48) else { return };
    let kept = Kept::open(disk.path(), StoreLimits::default());
    let objects = kept.objects(7, 4).await;
    let free = kept.store.disk_free().expect("a disk");
    let _room = kept.room_for(free + 5 * CHUNK).await.expect("room");
    assert_eq!(kept.holds(&objects)[..3], [false, false, true]);
    assert!(kept.store.disk_free().expect("a disk") >= free + 5 * CHUNK);
}

#[tokio::test]
async fn a_quota_counts_our_own_objects_only() {
    let Some(disk) = SmallDisk::tmpfs(32) else { return };
    let kept = Kept::open(disk.path(), quota(8));
    let objects = kept.objects(2, 3).await;
    disk.fill("of-somebody-else", 12 * 1024 * 1024);
    drop(kept.room_for(2 * CHUNK).await.expect("room below the quota"));
    assert_eq!(kept.holds(&objects), [true, true]);
    drop(kept.room_for(3 * CHUNK).await.expect("room once one is gone"));
    assert_eq!(kept.holds(&objects), [false, true]);
    assert_eq!(kept.store.capacity(), 8 * CHUNK);
}

#[tokio::test]
async fn what_is_to_be_kept_free_is_kept_free_of_whomever() {
    let Some(disk) = SmallDisk::tmpfs(32) else { return };
    let limits = StoreLimits {
        keep_free: vec![Amount::Bytes(8 * CHUNK)],
        ..StoreLimits::default()
    };
    let kept = Kept::open(disk.path(), limits);
    let objects = kept.objects(4, 3).await;
    disk.fill("of-somebody-else", 14 * 1024 * 1024);
    kept.store.sweep().await;
    assert_eq!(kept.holds(&objects), [false, true, true, true]);
    assert!(kept.store.disk_free().expect("a disk") >= 8 * CHUNK);
}

#[tokio::test]
async fn nothing_goes_that_is_pinned_read_or_held_and_nothing_goes_in_vain() {
    let dir = folder();
    let kept = Kept::open(dir.path(), quota(12));
    let objects = kept.objects(4, 3).await;
    kept.store.learn_image_rules(pinned(&objects[..1], None)).await;
    let read = kept.store.sealed(&objects[1]).expect("held");
    let hold = kept.store.hold([objects[2].clone(), objects[2].clone()]);
    let refused = kept
        .room_for(4 * CHUNK)
        .await
        .expect_err("one of them is not enough");
    assert!(refused.to_string().contains("pinned or in use"), "{refused}");
    assert_eq!(kept.holds(&objects), [true; 4]);
    assert_eq!(kept.store.rooms_refused(), 1);
    let room = kept.room_for(3 * CHUNK).await.expect("room");
    assert_eq!(kept.holds(&objects), [true, true, true, false]);
    drop((read, hold, room));
    drop(kept.room_for(9 * CHUNK).await.expect("room"));
    assert_eq!(kept.holds(&objects), [true, false, false, false]);
}

#[tokio::test]
async fn an_object_stays_while_bytes_are_read_of_it() {
    let dir = folder();
    let kept = Kept::open(dir.path(), quota(4));
    let body = bytes(3 * CHUNK);
    let sealed = seal(&kept.store, &body).await;
    let digest = sealed.digest.clone();
    let mut reading = Box::pin(sealed.read(0..sealed.size).await.expect("opens"));
    drop(sealed);
    let first = reading.try_next().await.expect("read").expect("bytes");
    kept.room_for(2 * CHUNK).await.expect_err("it is read");
    let rest: Vec<Bytes> = reading.try_collect().await.expect("the rest");
    assert_eq!([&[first], rest.as_slice()].concat().concat(), body);
    drop(kept.room_for(2 * CHUNK).await.expect("room"));
    assert!(kept.store.sealed(&digest).is_none());
}

#[tokio::test]
async fn two_that_ask_at_once_are_not_promised_the_same_room() {
    let dir = folder();
    let kept = Kept::open(dir.path(), quota(8));
    let (one, other) = (kept.room_for(5 * CHUNK), kept.room_for(4 * CHUNK));
    let (one, other) = tokio::join!(one, other);
    assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
    drop((one, other));
    drop(kept.room_for(8 * CHUNK).await.expect("all of it"));
}

#[tokio::test]
async fn what_was_begun_and_left_goes_first() {
    let dir = folder();
    let kept = Kept::open(dir.path(), quota(8));
    let objects = kept.objects(1, 3).await;
    let (left, written) = (Digest::of(b"left"), Digest::of(b"written"));
    let partial = kept.store.partial(&left).await.expect("a partial");
    partial.append(bytes(2 * CHUNK)).await.expect("landed");
    drop(partial);
    let partial = kept.store.partial(&written).await.expect("a partial");
    partial.append(bytes(CHUNK)).await.expect("landed");
    drop(kept.room_for(3 * CHUNK).await.expect("room"));
    assert_eq!(kept.store.landed(&left).await, None);
    assert_eq!(kept.store.landed(&written).await, Some(CHUNK));
    assert_eq!(kept.holds(&objects), [true]);
    kept.room_for(8 * CHUNK).await.expect_err("it is being written");
}

#[tokio::test]
async fn what_has_landed_is_not_asked_for_twice() {
    let dir = folder();
    let kept = Kept::open(dir.path(), quota(8));
    let objects = kept.objects(1, 3).await;
    let digest = Digest::of(b"large");
    let partial = kept.store.partial(&digest).await.expect("a partial");
    partial.append(bytes(4 * CHUNK)).await.expect("landed");
    let _room = kept.store.make_room(&digest, 5 * CHUNK).await.expect("room");
    assert_eq!(kept.holds(&objects), [true]);
}

#[tokio::test]
async fn room_grows_with_the_bytes_that_come_and_what_is_oldest_goes_step_by_step() {
    let dir = folder();
    let kept = Kept::open(dir.path(), quota(12));
    // Six bytes are free.
    let objects = kept.objects(4, 3).await;
    let size = Some(12 * CHUNK - 1);
    let room = GrowingRoom::new(kept.store.clone(), Digest::of(b"large"));
    room.bytes_came(3, size).await.expect("room");
    assert_eq!(kept.holds(&objects), [true; 4], "what is claimed evicts nothing");
    room.bytes_came(2 * CHUNK, size).await.expect("room");
    assert_eq!(kept.holds(&objects), [false, true, true, true]);
    room.bytes_came(3 * CHUNK, size).await.expect("room");
    assert_eq!(kept.holds(&objects), [false, false, true, true]);
    room.begin(0).await;
    drop(
        kept.room_for(6 * CHUNK)
            .await
            .expect("the promise was given back"),
    );
    assert_eq!(kept.holds(&objects), [false, false, true, true]);
}

#[tokio::test]
async fn a_check_for_room_evicts_and_promises_nothing() {
    let dir = folder();
    let kept = Kept::open(dir.path(), quota(8));
    let objects = kept.objects(2, 3).await;
    let _hold = kept.store.hold([objects[1].clone()]);
    let large = Digest::of(b"large");
    kept.store
        .check_room(&large, 5 * CHUNK)
        .await
        .expect("one may go");
    for too_large in [6 * CHUNK, u64::MAX] {
        let refused = kept.store.check_room(&large, too_large).await;
        assert_eq!(refused.expect_err("the other may not").bytes, too_large);
    }
    drop(kept.room_for(2 * CHUNK).await.expect("nothing was promised"));
    assert_eq!(kept.holds(&objects), [true, true]);
}

#[tokio::test]
async fn nothing_goes_in_vain_for_an_object_beside_one_that_is_being_written() {
    let dir = folder();
    let kept = Kept::open(dir.path(), quota(8));
    let objects = kept.objects(1, 3).await;
    let partial = kept
        .store
        .partial(&Digest::of(b"written"))
        .await
        .expect("a partial");
    partial.append(bytes(4 * CHUNK)).await.expect("landed");
    kept.room_for(5 * CHUNK).await.expect_err("what is written stays");
    assert_eq!(kept.holds(&objects), [true]);
}

#[tokio::test]
async fn a_write_that_finds_the_disk_full_goes_on_once_room_was_made() {
    let Some(disk) = SmallDisk::tmpfs(16) else { return };
    let kept = Kept::open(disk.path(), StoreLimits::default());
    let objects = kept.objects(2, 4).await;
    let body = bytes(5 * CHUNK);
    let digest = Digest::of(&body);
    let room = kept.store.make_room(&digest, 5 * CHUNK).await.expect("room");
    assert_eq!(kept.holds(&objects), [true, true]);
    // Promised and not written yet: somebody else takes it.
    disk.fill("of-somebody-else", 5 * 1024 * 1024);
    let partial = kept.store.partial(&digest).await.expect("a partial");
    let full = loop {
        let from = usize::try_from(partial.len()).expect("fits");
        let to = (from + 64 * 1024).min(body.len());
        if let Err(full) = partial.append(body.slice(from..to)).await {
            break full;
        }
        assert!(to < body.len(), "there was room for all of it");
    };
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    let again = kept
        .store
        .make_room(&digest, 5 * CHUNK)
        .await
        .expect("room again");
    drop(room);
    assert_eq!(kept.holds(&objects), [false, true]);
    let from = usize::try_from(partial.len()).expect("fits");
    partial.append(body.slice(from..)).await.expect("landed");
    let proven = partial.prove().await.expect("read").expect("the right bytes");
    proven.seal(None, wire::ObjectKind::Blob).await.expect("sealed");
    drop(again);
    drop(kept);
    let kept = Kept::open(disk.path(), StoreLimits::default());
    assert_eq!(kept.store.about(&digest).expect("held").size, 5 * CHUNK);
    assert_eq!(kept.holds(&objects), [false, true]);
}

#[tokio::test]
async fn a_full_disk_loses_nothing_that_has_a_name() {
    let Some(disk) = SmallDisk::tmpfs(8) else { return };
    let kept = Kept::open(disk.path(), StoreLimits::default());
    let objects = kept.objects(1, 2).await;
    let free = usize::try_from(kept.store.disk_free().expect("a disk")).expect("fits");
    disk.fill("of-somebody-else", free);
    let partial = kept.store.partial(&Digest::of(b"more")).await.expect("a partial");
    partial.append(bytes(CHUNK)).await.expect_err("the disk is full");
    drop(partial);
    let _pins = kept.store.learn_image_rules(pinned(&objects, None)).await;
    kept.room_for(CHUNK)
        .await
        .expect_err("all that is here is pinned");
    drop(kept);
    let kept = Kept::open(disk.path(), StoreLimits::default());
    assert_eq!(kept.holds(&objects), [true]);
    assert!(kept.store.is_pinned(&objects[0]) || kept.store.known_image_rules().version.is_empty());
}

#[tokio::test]
async fn what_nobody_uses_goes_after_its_time_and_a_use_is_remembered_over_a_restart() {
    let dir = folder();
    let limits = StoreLimits {
        keep_unused: Some(Duration::from_secs(30 * 86_400)),
        ..StoreLimits::default()
    };
    let kept = Kept::open(dir.path(), limits.clone());
    let objects = kept.objects(3, 1).await;
    kept.store
        .learn_image_rules(pinned(&objects[2..], Some(100 * DAY)))
        .await;
    kept.later(20 * DAY);
    drop(kept.store.sealed(&objects[0]).expect("held"));
    kept.store.write_uses().await.expect("written");
    kept.store.flush().await.expect("written");
    drop(kept);
    let kept = Kept::open_at(dir.path(), limits, 32 * DAY);
    kept.store.sweep().await;
    assert_eq!(kept.holds(&objects), [true, false, true]);
    assert_eq!(kept.store.removed(RemovalReason::Unused), 1);
    kept.later(31 * DAY);
    kept.store.sweep().await;
    assert_eq!(kept.holds(&objects), [false, false, true], "a pin outlasts it");
    kept.later(100 * DAY);
    kept.store.sweep().await;
    assert_eq!(kept.holds(&objects), [false; 3], "the pin has ended");
}

#[tokio::test]
async fn a_recall_takes_an_image_off_once_and_a_block_holds_over_a_restart() {
    let dir = folder();
    let kept = Kept::open(dir.path(), StoreLimits::default());
    let body = bytes(CHUNK + 1);
    let digest = Digest::of(&body);
    seal(&kept.store, &body).await;
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
    kept.store.learn_image_rules(rules.clone()).await;
    assert_eq!(kept.holds(std::slice::from_ref(&digest)), [false]);
    assert_eq!(kept.store.removed(RemovalReason::Recalled), 1);
    kept.store.flush().await.expect("written");
    drop(kept);
    let kept = Kept::open(dir.path(), StoreLimits::default());
    assert!(kept.store.is_blocked(&digest));
    assert_eq!(
        kept.store.blocked(&digest).as_deref(),
        Some("blocked by somebody")
    );
    assert!(
        kept.store
            .blocked_by_name(|image| image.repository == "app")
            .is_some()
    );
    let known = kept.store.known_image_rules();
    assert_eq!((known.version.as_str(), known.recalled), ("2", 7));
    // Wanted again: what was carried out before is not carried out again.
    seal(&kept.store, &body).await;
    let lifted = ImageRules {
        version: "3".to_owned(),
        ..ImageRules::default()
    };
    kept.store.learn_image_rules(lifted).await;
    assert!(!kept.store.is_blocked(&digest));
    assert_eq!(kept.holds(&[digest]), [true]);
}

#[tokio::test]
async fn a_list_of_objects_that_is_damaged_or_old_is_not_believed() {
    let dir = folder();
    let kept = Kept::open(dir.path(), StoreLimits::default());
    let objects = kept.objects(2, 1).await;
    kept.store.write_uses().await.expect("written");
    kept.store
        .describe(
            &objects[0],
            Some("application/new".to_owned()),
            wire::ObjectKind::Manifest,
        )
        .await
        .expect("described");
    drop(kept);
    let kept = Kept::open(dir.path(), StoreLimits::default());
    let about = kept.store.about(&objects[0]).expect("held");
    assert_eq!(about.media_type.as_deref(), Some("application/new"));
    drop(kept);
    std::fs::write(dir.path().join("store/catalog.json"), b"[{").expect("written");
    let kept = Kept::open(dir.path(), StoreLimits::default());
    assert_eq!(kept.holds(&objects), [true, true]);
}

/// What a release build needs for it is a row of the benchmarks.
#[tokio::test]
async fn a_store_of_ten_thousand_objects_opens_from_its_list_and_without_it() {
    const OBJECTS: u32 = 10_000;
    let dir = folder();
    let kept = Kept::open(dir.path(), StoreLimits::default());
    for number in 0..OBJECTS {
        plant(&dir.path().join("store"), &number.to_be_bytes());
    }
    drop(kept);
    for with_list in [false, true] {
        let kept = Kept::open(dir.path(), StoreLimits::default());
        assert_eq!(
            kept.store.totals().objects,
            u64::from(OBJECTS),
            "list: {with_list}"
        );
        kept.store.write_uses().await.expect("written");
    }
}

/// A sealed object as it lies on the disk.
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
