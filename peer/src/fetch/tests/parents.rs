//! Other peers as sources: asked first, never believed.

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use bytes::Bytes;
use oci::Digest;
use store::CHUNK;
use wire::Side;

use super::support::{FetchFixture, Parent, bytes, read_all, serve, with_byte_changed};
use crate::fetch::FetchError;

#[tokio::test]
async fn a_parent_is_asked_before_the_registry() {
    let world = FetchFixture::new().await;
    let body = bytes(2 * CHUNK + 3);
    let digest = world.registry.serve(&body);
    let parent = Parent::holding(&world.around, &[&body]).await;
    let mut wanted = world.wanted(&digest);
    wanted.parents = vec![parent.url.clone()];
    let following = world.fetches.join_or_start(wanted);
    assert_eq!(read_all(&following).await, (body.to_vec(), Ok(())));
    let report = following.sealed().await.expect("sealed");
    assert_eq!(
        (report.bytes_from_peers, report.bytes_from_registry),
        (2 * CHUNK + 3, 0)
    );
    assert!(world.registry.requests().is_empty());
    let about = world.store.about(&digest).expect("held");
    assert_eq!(about.media_type.as_deref(), Some("application/x"));
}

#[tokio::test]
async fn a_corrupting_parent_is_left_out_and_readers_get_the_right_bytes() {
    let world = FetchFixture::new().await;
    let body = bytes(4 * CHUNK);
    let digest = world.registry.serve(&body);
    let damaged = Parent::holding(&world.around, &[&body]).await;
    std::fs::write(damaged.file(&digest), with_byte_changed(&body, 2 * CHUNK + 7)).expect("damaged");
    let sound = Parent::holding(&world.around, &[&body]).await;
    let mut wanted = world.wanted(&digest);
    wanted.parents = vec![damaged.url.clone(), sound.url.clone()];
    let following = world.fetches.join_or_start(wanted);
    assert_eq!(read_all(&following).await, (body.to_vec(), Ok(())));
    let report = following.sealed().await.expect("sealed");
    let used: Vec<_> = report
        .sources
        .iter()
        .map(|used| (used.source.as_str(), used.bytes))
        .collect();
    assert_eq!(
        used,
        [(damaged.url.as_str(), 2 * CHUNK), (sound.url.as_str(), 2 * CHUNK)]
    );
    assert!(world.registry.requests().is_empty());
}

#[tokio::test]
async fn the_registry_continues_where_a_corrupting_parent_was_left() {
    let world = FetchFixture::new().await;
    let body = bytes(3 * CHUNK);
    let digest = world.registry.serve(&body);
    let damaged = Parent::holding(&world.around, &[&body]).await;
    std::fs::write(damaged.file(&digest), with_byte_changed(&body, CHUNK)).expect("damaged");
    let mut wanted = world.wanted(&digest);
    wanted.parents = vec![damaged.url.clone()];
    assert_eq!(
        read_all(&world.fetches.join_or_start(wanted)).await,
        (body.to_vec(), Ok(()))
    );
    assert_eq!(
        world.registry.ranges(),
        [Some(format!("bytes={CHUNK}-{}", body.len() - 1))]
    );
}

#[tokio::test]
async fn parents_that_are_unreachable_or_do_not_hold_it_are_skipped() {
    let world = FetchFixture::new().await;
    let body = bytes(CHUNK + 1);
    let digest = world.registry.serve(&body);
    let empty = Parent::holding(&world.around, &[]).await;
    let mut wanted = world.wanted(&digest);
    wanted.parents = vec!["http://127.0.0.1:1".to_owned(), empty.url.clone()];
    let following = world.fetches.join_or_start(wanted);
    assert_eq!(read_all(&following).await, (body.to_vec(), Ok(())));
    assert_eq!(
        following.sealed().await.expect("sealed").bytes_from_registry,
        CHUNK + 1
    );
}

/// Serves one object's bytes and hashes under every name: wrong bytes with matching hashes.
async fn liar(body: Bytes) -> String {
    async fn chunks(State(body): State<Bytes>) -> ([(&'static str, String); 1], Bytes) {
        let hashes: Vec<u8> = body
            .chunks(CHUNK as usize)
            .flat_map(|chunk| *blake3::hash(chunk).as_bytes())
            .collect();
        ([("stoker-size", body.len().to_string())], hashes.into())
    }
    async fn object(State(body): State<Bytes>) -> Bytes {
        body
    }
    let app = Router::new()
        .route("/share/v1/objects/{digest}", get(object))
        .route("/share/v1/objects/{digest}/chunks", get(chunks))
        .with_state(body);
    format!("http://{}", serve(app).await)
}

#[tokio::test]
async fn wrong_bytes_with_matching_hashes_are_thrown_away() {
    let world = FetchFixture::new().await;
    let body = bytes(2 * CHUNK);
    let digest = world.registry.serve(&body);
    let mut wanted = world.wanted(&digest);
    wanted.parents = vec![liar(with_byte_changed(&body, 5)).await];
    let following = world.fetches.join_or_start(wanted.clone());
    following.sealed().await.expect("sealed from the registry");
    assert_eq!(read_all(&following).await, (body.to_vec(), Ok(())));
    assert_eq!(
        std::fs::read(world.store.sealed(&digest).expect("held").path()).expect("read"),
        body
    );
    assert_eq!(world.registry.ranges(), [None]);
}

#[tokio::test]
async fn wrong_bytes_without_another_source_fail_on_the_peer_s_side() {
    let world = FetchFixture::new().await;
    let body = bytes(2 * CHUNK);
    let digest = Digest::of(&body);
    let mut wanted = world.wanted(&digest);
    wanted.registry_allowed = false;
    wanted.parents = vec![liar(with_byte_changed(&body, 5)).await];
    let following = world.fetches.join_or_start(wanted);
    let error = following.sealed().await.expect_err("nothing right");
    assert!(
        matches!(error, FetchError::WrongBytes { side: Side::Peer, .. }),
        "{error}"
    );
    assert!(world.store.sealed(&digest).is_none());
}
