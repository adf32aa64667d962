//! Objects with sha512 digests beside those with sha256 digests, which older versions wrote.

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use oci::{Digest, DigestAlgorithm};
use wire::ObjectKind;

use super::{folder, open};
use crate::testing::{bytes, seal, seal_as};
use crate::{CHUNK, ProvenBytes, RemovalReason, Store};

fn sha512(bytes: &[u8]) -> Digest {
    DigestAlgorithm::Sha512.digest(bytes)
}

async fn content(store: &Store, digest: &Digest) -> Vec<u8> {
    let sealed = store.sealed(digest).expect("held");
    let pieces = sealed.read(0..sealed.size).await.expect("opened");
    let pieces: Vec<Bytes> = pieces.try_collect().await.expect("read");
    pieces.concat()
}

#[tokio::test]
async fn one_content_under_two_digests_is_two_objects_and_both_survive_a_restart() {
    let dir = folder();
    let body = bytes(2 * CHUNK + 1);
    let both = [Digest::of(&body), sha512(&body)];
    let store = open(&dir);
    seal(&store, &body).await;
    seal_as(&store, &body, &both[1]).await;
    drop(store);
    // Also without the catalog, so that the names of the files decide.
    for is_listed in [true, false] {
        if !is_listed {
            let _ = std::fs::remove_file(dir.path().join("catalog.json"));
        }
        let store = open(&dir);
        let mut held: Vec<String> = store.held().into_iter().map(|held| held.digest).collect();
        held.sort();
        assert_eq!(held, both.each_ref().map(ToString::to_string));
        for digest in &both {
            assert_eq!(content(&store, digest).await, body);
            let sealed = store.sealed(digest).expect("held");
            assert_eq!(sealed.chunk_hashes().expect("hashes").size(), 2 * CHUNK + 1);
        }
    }
}

#[tokio::test]
async fn a_sha256_object_keeps_the_file_name_of_older_versions() {
    let dir = folder();
    let body = bytes(7);
    let store = open(&dir);
    let (old, new) = (seal(&store, &body).await.digest, sha512(&body));
    seal_as(&store, &body, &new).await;
    let shelf = |digest: &Digest| dir.path().join("sealed").join(&digest.hex()[..2]);
    assert!(shelf(&old).join(old.hex()).exists());
    assert!(shelf(&new).join(format!("sha512-{}", new.hex())).exists());
}

#[tokio::test]
async fn a_partial_object_continues_after_a_restart() {
    let dir = folder();
    let body = bytes(3 * CHUNK);
    let digest = sha512(&body);
    let first = usize::try_from(2 * CHUNK).expect("small");
    let store = open(&dir);
    let partial = store.partial(&digest).await.expect("a partial");
    partial.append(body.slice(..first)).await.expect("landed");
    drop((partial, store));
    let store = open(&dir);
    assert!(store.landed(&digest).await.is_some());
    let partial = store.partial(&digest).await.expect("a partial");
    let landed = usize::try_from(partial.len()).expect("small");
    assert!(landed > 0, "nothing was kept");
    partial.append(body.slice(landed..)).await.expect("landed");
    let proven = partial.prove().await.expect("read").expect("the right bytes");
    proven.seal(None, ObjectKind::Blob).await.expect("sealed");
    assert_eq!(content(&store, &digest).await, body);
}

#[tokio::test]
async fn wrong_bytes_get_no_name() {
    let dir = folder();
    let store = open(&dir);
    let digest = sha512(b"right");
    let partial = store.partial(&digest).await.expect("a partial");
    partial
        .append(Bytes::from_static(b"wrong"))
        .await
        .expect("landed");
    let wrong = partial.prove().await.expect("read").err().expect("wrong bytes");
    assert_eq!(wrong.found, sha512(b"wrong"));
    assert!(ProvenBytes::prove(&digest, Bytes::from_static(b"wrong")).is_err());
    // The sha256 of the same content is another digest.
    assert!(ProvenBytes::prove(&Digest::of(b"right"), Bytes::from_static(b"right")).is_ok());
    assert!(store.sealed(&digest).is_none() && store.sealed(&Digest::of(b"right")).is_none());
}

#[tokio::test]
async fn a_small_object_is_kept_and_removed_without_its_twin() {
    let dir = folder();
    let store = open(&dir);
    let body = bytes(100);
    let twin = seal(&store, &body).await.digest;
    let digest = sha512(&body);
    let proven = ProvenBytes::prove(&digest, body.clone()).expect("the right bytes");
    store
        .keep(proven, None, ObjectKind::Manifest)
        .await
        .expect("kept");
    store
        .remove(&digest, RemovalReason::Asked)
        .await
        .expect("removed");
    drop(store);
    let store = open(&dir);
    assert!(store.sealed(&digest).is_none());
    assert!(store.removal(&digest).is_some());
    assert_eq!(content(&store, &twin).await, body);
}

#[tokio::test]
async fn a_damaged_object_and_a_sidecar_alone_are_removed_at_the_next_start() {
    let dir = folder();
    let store = open(&dir);
    let (cut, alone) = (bytes(10), bytes(11));
    for body in [&cut, &alone] {
        seal_as(&store, body, &sha512(body)).await;
    }
    drop(store);
    let path = |digest: &Digest, ending: &str| {
        let name = format!("sha512-{}{ending}", digest.hex());
        dir.path().join("sealed").join(&digest.hex()[..2]).join(name)
    };
    let (cut, alone) = (sha512(&cut), sha512(&alone));
    std::fs::write(path(&cut, ""), b"short").expect("written");
    std::fs::remove_file(path(&alone, "")).expect("removed");
    let store = open(&dir);
    assert_eq!(store.held(), []);
    for digest in [&cut, &alone] {
        assert!(!path(digest, "").exists() && !path(digest, ".chunks").exists());
    }
}
