mod room;
mod sha512;

use std::fs::OpenOptions;

use bytes::Bytes;
use oci::{Digest, Location};
use tempfile::TempDir;
use wire::{Holding, ObjectKind, TagRecord, TraceContext};

use super::removals::{REMEMBERED, SLACK};
use super::{CHUNK, Removal, RemovalReason, Store, StoreEvent, Totals};
use crate::testing::{Signer, bytes, seal};

const NGINX: &str = "https://registry.lan/v2/library/nginx";

fn at(location: &str) -> Location {
    location.parse().expect("a location")
}

fn open(dir: &TempDir) -> Store {
    Store::open(dir.path()).expect("a store")
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn tag(digest: &Digest, seen_unix_ms: i64) -> TagRecord {
    TagRecord {
        location: NGINX.to_owned(),
        tag: "1.27".to_owned(),
        digest: digest.to_string(),
        media_type: "application/x".to_owned(),
        seen_unix_ms,
    }
}

#[tokio::test]
async fn sealed_objects_survive_a_restart() {
    let dir = folder();
    let body = bytes(CHUNK + 1);
    let digest = Digest::of(&body);
    let store = open(&dir);
    seal(&store, &body).await;
    store
        .describe(&digest, Some("application/y".to_owned()), ObjectKind::Manifest)
        .await
        .expect("described");
    drop(store);
    let store = open(&dir);
    assert_eq!(
        store.held(),
        [Holding {
            digest: digest.to_string(),
            size: CHUNK + 1
        }]
    );
    let about = store.about(&digest).expect("held");
    assert_eq!(
        (about.kind, about.media_type.as_deref()),
        (ObjectKind::Manifest, Some("application/y"))
    );
    assert_eq!(
        store
            .sealed(&digest)
            .expect("held")
            .chunk_hashes()
            .expect("hashes")
            .size(),
        CHUNK + 1
    );
}

#[tokio::test]
async fn no_object_has_a_name_before_it_is_proven() {
    let dir = folder();
    let store = open(&dir);
    let digest = Digest::of(b"right");
    let partial = store.partial(&digest).await.expect("a partial");
    partial
        .append(Bytes::from_static(b"wrong"))
        .await
        .expect("landed");
    assert!(store.sealed(&digest).is_none());
    let wrong = partial.prove().await.expect("read").err().expect("wrong bytes");
    assert_eq!(wrong.found, Digest::of(b"wrong"));
    assert!(store.sealed(&digest).is_none());
    assert!(store.partial(&digest).await.expect("a partial").is_empty());
}

#[tokio::test]
async fn a_chunk_with_another_hash_does_not_land() {
    let dir = folder();
    let store = open(&dir);
    let partial = store.partial(&Digest::of(b"right")).await.expect("a partial");
    let hash = *blake3::hash(b"right").as_bytes();
    assert!(
        partial
            .land_chunk(0, Bytes::from_static(b"wrong"), Some(hash))
            .await
            .is_err()
    );
    assert!(partial.is_empty());
    partial
        .land_chunk(0, Bytes::from_static(b"right"), Some(hash))
        .await
        .expect("landed");
    assert!(partial.prove().await.expect("read").is_ok());
}

#[tokio::test]
async fn an_object_has_one_writer_at_a_time() {
    let dir = folder();
    let store = open(&dir);
    let digest = Digest::of(b"x");
    let first = store.partial(&digest).await.expect("a partial");
    assert!(store.partial(&digest).await.is_err());
    drop(first);
    assert!(store.partial(&digest).await.is_ok());
}

#[tokio::test]
async fn a_folder_has_one_store_at_a_time() {
    let dir = folder();
    let store = open(&dir);
    assert!(Store::open(dir.path()).is_err());
    drop(store);
    open(&dir);
}

#[tokio::test]
async fn a_lost_or_damaged_index_is_rebuilt() {
    for damage in [None, Some("this is no database".as_bytes()), Some(&[0; 8192])] {
        let dir = folder();
        let body = bytes(3);
        let digest = Digest::of(&body);
        let store = open(&dir);
        seal(&store, &body).await;
        store.record_tag(&tag(&digest, 1));
        drop(store);
        let index = dir.path().join("index.redb");
        match damage {
            None => std::fs::remove_file(&index).expect("removed"),
            Some(bytes) => std::fs::write(&index, bytes).expect("damaged"),
        }
        let store = open(&dir);
        assert_eq!(
            store.about(&digest).expect("held").media_type.as_deref(),
            Some("application/x")
        );
        assert_eq!(store.tag(NGINX, "1.27"), None);
        store.record_tag(&tag(&digest, 2));
        store.flush().await.expect("the new index works");
    }
}

#[tokio::test]
async fn a_sealed_file_of_another_size_is_removed() {
    let dir = folder();
    let (cut, whole) = (bytes(10), bytes(11));
    let store = open(&dir);
    let path = seal(&store, &cut).await.path().to_owned();
    seal(&store, &whole).await;
    drop(store);
    OpenOptions::new()
        .write(true)
        .open(&path)
        .expect("opened")
        .set_len(5)
        .expect("cut");
    let store = open(&dir);
    assert!(store.sealed(&Digest::of(&cut)).is_none());
    assert!(!path.exists());
    assert!(store.sealed(&Digest::of(&whole)).is_some());
}

#[tokio::test]
async fn foreign_files_are_not_changed() {
    let dir = folder();
    drop(open(&dir));
    let foreign = dir.path().join("sealed/ab/README");
    std::fs::write(&foreign, "hello").expect("written");
    assert!(open(&dir).held().is_empty());
    assert!(foreign.exists());
}

#[tokio::test]
async fn of_two_tags_the_one_seen_last_holds_over_a_restart() {
    let dir = folder();
    let store = open(&dir);
    let (old, new) = (Digest::of(b"old"), Digest::of(b"new"));
    store.record_tag(&tag(&new, 20));
    store.record_tag(&tag(&old, 10));
    drop(store);
    let store = open(&dir);
    assert_eq!(store.tag(NGINX, "1.27"), Some(tag(&new, 20)));
    assert_eq!(store.tag(NGINX, "1.26"), None);
}

#[tokio::test]
async fn an_unsigned_tag_record_is_not_passed_on() {
    let dir = folder();
    let store = open(&dir);
    let signer = Signer::of("default");
    let (old, new) = (tag(&Digest::of(b"old"), 10), tag(&Digest::of(b"new"), 20));
    store.record_tag(&old);
    assert_eq!(store.signed_tag(NGINX, "1.27"), None);
    store.record_signed_tag(&new, &signer.tag(&new));
    store.record_signed_tag(&old, &signer.tag(&old));
    drop(store);
    let store = open(&dir);
    assert_eq!(store.signed_tag(NGINX, "1.27"), Some(signer.tag(&new)));
    assert_eq!(store.tag(NGINX, "1.27"), Some(new.clone()));
    let own = tag(&Digest::of(b"own"), 30);
    store.record_tag(&own);
    assert_eq!(store.tag(NGINX, "1.27"), Some(own), "the newest record counts");
    assert_eq!(store.signed_tag(NGINX, "1.27"), Some(signer.tag(&new)));
}

/// Locations that share a part with `https://registry.lan/v2/a`.
const OTHERS: [&str; 4] = [
    "http://registry.lan/v2/a",
    "https://registry.lan/path/v2/a",
    "https://registry.lan/v2/b",
    "https://other.lan/v2/a",
];

#[tokio::test]
async fn a_public_record_covers_one_object_at_one_location() {
    let dir = folder();
    let store = open(&dir);
    let (public, private) = (Digest::of(b"public"), Digest::of(b"private"));
    let here = at("https://registry.lan/v2/a");
    let signer = Signer::of("default");
    let proof = |found_ms| signer.public(&public, &here, found_ms);
    store.record_public(&public, &here, 20, &proof(20));
    store.record_public(&public, &here, 10, &proof(10));
    drop(store);
    let store = open(&dir);
    assert_eq!(store.public_at(&public, &here), Some(20), "the newest counts");
    assert_eq!(store.public_proof(&public, &here), Some(proof(20)));
    assert_eq!(store.public_at(&private, &here), None);
    for other in OTHERS {
        assert_eq!(store.public_at(&public, &at(other)), None, "{other}");
        assert_eq!(store.public_proof(&public, &at(other)), None, "{other}");
    }
}

#[tokio::test]
async fn a_delivery_covers_one_object_at_one_location() {
    let dir = folder();
    let store = open(&dir);
    let (one, other) = (Digest::of(b"one"), Digest::of(b"other"));
    let here = at("https://registry.lan/v2/a");
    store.record_delivered(&one, &here);
    drop(store);
    let store = open(&dir);
    assert!(store.has_delivered(&one, &here));
    assert!(!store.has_delivered(&other, &here));
    for other in OTHERS {
        assert!(!store.has_delivered(&one, &at(other)), "{other}");
    }
}

#[tokio::test]
async fn the_locations_of_one_object_have_a_bound() {
    let dir = folder();
    let store = open(&dir);
    let digest = Digest::of(b"everywhere");
    let place = |number: usize| at(&format!("https://registry.lan/v2/r{number}"));
    for number in 0..=600 {
        store.record_delivered(&digest, &place(number));
    }
    let known = (0..=600).filter(|number| store.has_delivered(&digest, &place(*number)));
    assert_eq!(known.count(), 512);
    assert!(store.has_delivered(&digest, &place(600)), "the newest stays");
}

#[tokio::test]
async fn removing_drops_the_object_and_its_records() {
    let dir = folder();
    let store = open(&dir);
    let body = bytes(9);
    let digest = Digest::of(&body);
    let mut news = store.watch();
    let path = seal(&store, &body).await.path().to_owned();
    let here = at("https://registry.lan/v2/a");
    let proof = Signer::of("default").public(&digest, &here, 1);
    store.record_public(&digest, &here, 1, &proof);
    store.record_delivered(&digest, &here);
    let was_here = store.remove(&digest, RemovalReason::Asked).await;
    assert!(was_here.expect("removed"));
    assert!(store.sealed(&digest).is_none() && !path.exists());
    assert_eq!(store.public_at(&digest, &here), None);
    assert!(!store.has_delivered(&digest, &here));
    let held = Holding {
        digest: digest.to_string(),
        size: 9,
    };
    assert_eq!(news.recv().await.expect("news"), StoreEvent::Gained(held));
    assert_eq!(news.recv().await.expect("news"), StoreEvent::Lost(digest));
}

#[tokio::test]
async fn notes_survive_and_are_bounded() {
    let dir = folder();
    let store = open(&dir);
    for number in 0..10_050 {
        store.put_note("yes", &format!("{number:05}"), b"1");
    }
    assert_eq!(store.all_notes("yes").len(), 10_000);
    assert_eq!(store.get_note("yes", "10049").as_deref(), Some(b"1".as_slice()));
    store.remove_note("yes", "10049");
    store.put_note("other", "key", b"value");
    drop(store);
    let store = open(&dir);
    assert_eq!(store.get_note("yes", "10049"), None);
    assert_eq!(store.all_notes("other"), [("key".to_owned(), b"value".to_vec())]);
}

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[tokio::test]
async fn a_removal_is_remembered_over_a_restart_until_the_object_is_here_again() {
    let dir = folder();
    let store = open(&dir);
    let body = bytes(9);
    let digest = Digest::of(&body);
    assert!(
        !store
            .remove(&digest, RemovalReason::Evicted)
            .await
            .expect("nothing to remove")
    );
    assert_eq!(store.removal(&digest), None, "never held");
    seal(&store, &body).await;
    store
        .remove(&digest, RemovalReason::Evicted)
        .await
        .expect("removed");
    let remembered = store.removal(&digest).expect("remembered");
    assert_eq!(remembered.why, RemovalReason::Evicted);
    drop(store);
    let store = open(&dir);
    assert_eq!(store.removal(&digest), Some(remembered));
    seal(&store, &body).await;
    assert_eq!(store.removal(&digest), None);
    drop(store);
    assert_eq!(open(&dir).removal(&digest), None);
}

#[tokio::test]
async fn the_oldest_removals_are_forgotten() {
    let dir = folder();
    let store = open(&dir);
    let digest_of = |number: usize| Digest::of(&number.to_be_bytes());
    for number in 0..=REMEMBERED + SLACK {
        let removal = Removal {
            at_unix_ms: i64::try_from(number).expect("fits"),
            why: RemovalReason::Evicted,
        };
        store.0.index.record_removal(&digest_of(number), removal);
    }
    assert_eq!(store.removal(&digest_of(SLACK)), None);
    assert!(store.removal(&digest_of(SLACK + 1)).is_some());
    assert!(store.removal(&digest_of(REMEMBERED + SLACK)).is_some());
}

#[tokio::test]
async fn a_damaged_object_is_remembered_as_removed() {
    let dir = folder();
    let store = open(&dir);
    let body = bytes(CHUNK);
    let path = seal(&store, &body).await.path().to_owned();
    drop(store);
    let file = OpenOptions::new().write(true).open(path).expect("the object");
    file.set_len(7).expect("cut");
    let store = open(&dir);
    let removal = store.removal(&Digest::of(&body)).expect("remembered");
    assert_eq!(removal.why, RemovalReason::Damaged);
    assert_eq!(store.removed(RemovalReason::Damaged), 1);
}

#[tokio::test]
async fn the_trace_of_a_fetch_survives_a_restart_and_is_removed_with_the_object() {
    let dir = folder();
    let store = open(&dir);
    let body = bytes(9);
    let digest = Digest::of(&body);
    let trace = TraceContext::parse(TRACEPARENT).expect("a context");
    seal(&store, &body).await;
    store.record_brought(&digest, &trace);
    drop(store);
    let store = open(&dir);
    assert_eq!(store.brought(&digest), Some(trace));
    store
        .remove(&digest, RemovalReason::Asked)
        .await
        .expect("removed");
    assert_eq!(store.brought(&digest), None);
}

#[tokio::test]
async fn totals_count_sealed_and_removed_objects() {
    let dir = folder();
    let store = open(&dir);
    let (one, other) = (bytes(9), bytes(CHUNK + 5));
    seal(&store, &one).await;
    let partial = store.partial(&Digest::of(&other)).await.expect("a partial");
    partial.append(other.slice(..8)).await.expect("landed");
    let begun = Totals {
        bytes: 9,
        objects: 1,
        partial_objects: 1,
    };
    assert_eq!(store.totals(), begun);
    assert_eq!(store.landed(&Digest::of(&other)).await, Some(8));
    drop((partial, store));
    let store = open(&dir);
    assert_eq!(store.totals(), begun, "the same after a restart");
    seal(&store, &other).await;
    store
        .remove(&Digest::of(&one), RemovalReason::Asked)
        .await
        .expect("removed");
    let totals = Totals {
        bytes: CHUNK + 5,
        objects: 1,
        partial_objects: 0,
    };
    assert_eq!(store.totals(), totals);
    assert_eq!(store.landed(&Digest::of(&other)).await, None);
    assert!(store.disk_free().expect("a disk") > 0);
}
