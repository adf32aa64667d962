//! One fetch, many readers.

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use oci::{Credential, Digest, Secret};
use tokio_util::sync::CancellationToken;

use super::support::{FetchFixture, Reading, Treat, bytes, eventually, read_all, read_what_comes};
use store::{CHUNK, last_chunk_begins};

#[tokio::test]
async fn one_fetch_serves_many_readers() {
    let world = FetchFixture::new().await;
    let body = bytes(3 * CHUNK + 9);
    let digest = world.registry.serve(&body);
    let followings: Vec<_> = (0..20).map(|_| world.fetch(&digest)).collect();
    for (got, ended) in join_all(followings.iter().map(read_all)).await {
        assert!(got == body, "other bytes");
        assert_eq!(ended, Ok(()));
    }
    followings[0].sealed().await.expect("sealed");
    assert_eq!(read_all(&world.fetch(&digest)).await.0, body);
    assert_eq!(world.registry.requests().len(), 1);
}

#[tokio::test]
async fn the_last_chunk_waits_for_the_proof() {
    let world = FetchFixture::new().await;
    let body = bytes(3 * CHUNK);
    let digest = Digest::of(&body);
    let goes_on = CancellationToken::new();
    let hold = Some((3 * CHUNK - 1, goes_on.clone()));
    world.registry.put(
        &digest,
        Treat {
            bytes: body.clone(),
            hold,
            ..Treat::default()
        },
    );
    let following = world.fetch(&digest);
    assert_eq!(following.size().await, Ok(3 * CHUNK));
    eventually("nearly all has landed", || {
        following.progress() > 3 * CHUNK - 100_000
    })
    .await;

    let mut stream: Reading = Box::pin(following.read(0..u64::MAX));
    let mut got = read_what_comes(&mut stream).await;
    assert_eq!(got.len() as u64, last_chunk_begins(3 * CHUNK), "before the proof");
    goes_on.cancel();
    while let Some(part) = stream.next().await {
        got.extend_from_slice(&part.expect("bytes"));
    }
    assert!(got == body, "other bytes");
}

#[tokio::test]
async fn a_reader_that_leaves_stops_nothing() {
    let world = FetchFixture::new().await;
    let body = bytes(2 * CHUNK);
    let digest = Digest::of(&body);
    let goes_on = CancellationToken::new();
    let hold = Some((CHUNK, goes_on.clone()));
    world.registry.put(
        &digest,
        Treat {
            bytes: body,
            hold,
            ..Treat::default()
        },
    );
    let following = world.fetch(&digest);
    following.size().await.expect("begun");
    drop(following.read(0..10));
    drop(following);
    goes_on.cancel();
    eventually("sealed without a reader", || {
        world.store.sealed(&digest).is_some()
    })
    .await;
}

#[tokio::test]
async fn a_starter_without_access_does_not_fail_the_readers_that_joined() {
    let world = FetchFixture::new().await;
    let body = bytes(CHUNK);
    let digest = Digest::of(&body);
    let refusal = CancellationToken::new();
    world.registry.put(
        &digest,
        Treat {
            bytes: body.clone(),
            authorization: Some("Bearer good"),
            refusal_waits_for: Some(refusal.clone()),
            ..Treat::default()
        },
    );
    let bearer = |token: &str| Credential::Header(Secret::new(format!("Bearer {token}")));
    let mut wanted = world.wanted(&digest);
    wanted.credential = bearer("bad");
    let starter = world.fetches.join_or_start(wanted.clone());
    wanted.credential = bearer("good");
    let joined = world.fetches.join_or_start(wanted);
    let (first, second) = tokio::join!(starter.sealed(), async {
        refusal.cancel();
        read_all(&joined).await
    });
    assert_eq!(first.expect_err("refused").side(), wire::Side::Caller);
    assert!(second.0 == body, "other bytes");
    assert_eq!(second.1, Ok(()));
}

#[tokio::test]
async fn after_a_failure_the_next_reader_starts_a_new_fetch() {
    let world = FetchFixture::new().await;
    let body = bytes(1000);
    let digest = Digest::of(&body);
    world.fetch(&digest).sealed().await.expect_err("not there yet");
    world.registry.serve(&body);
    assert_eq!(read_all(&world.fetch(&digest)).await, (body.to_vec(), Ok(())));
}

#[tokio::test]
async fn readers_end_with_an_error_when_the_peer_is_cut_off() {
    let world = FetchFixture::new().await;
    let body = bytes(2 * CHUNK);
    let digest = Digest::of(&body);
    let hold = Some((CHUNK, CancellationToken::new()));
    world.registry.put(
        &digest,
        Treat {
            bytes: body,
            hold,
            ..Treat::default()
        },
    );
    let following = world.fetch(&digest);
    following.size().await.expect("begun");
    let (read, ()) = tokio::join!(
        read_all(&following),
        world.running.drain(std::time::Duration::ZERO)
    );
    read.1.expect_err("cut off");
}
