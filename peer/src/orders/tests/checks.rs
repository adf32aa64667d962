//! Spot checks: a peer compares a seed's bytes with its own.

use bytes::Bytes;
use oci::Digest;
use store::{CHUNK, RemovalReason};
use uuid::Uuid;
use wire::{Question, SpotCheck, SpotCheckOutcome};

use super::questions::reply_to;
use super::support::{FakeManager, WorkingPeer};
use crate::fetch::tests::support::{Parent, bytes, seal, with_byte_changed};

/// A peer and a seed that hold the same object.
async fn both_holding(body: &Bytes) -> (WorkingPeer, Parent) {
    let peer = WorkingPeer::of(FakeManager::default()).await;
    let seed = Parent::holding(&peer.world.around, &[body]).await;
    seal(&peer.world.store, body).await;
    peer.manager.tells_of_seed(&seed.url);
    (peer, seed)
}

async fn compared(peer: &WorkingPeer, seed: &str, digest: &Digest, first: u64) -> SpotCheckOutcome {
    let question = Question {
        id: Uuid::new_v4(),
        location: peer.world.around.location().to_string(),
        check: Some(SpotCheck {
            digest: digest.to_string(),
            share_url: seed.to_owned(),
            first,
            length: CHUNK,
        }),
        ..Question::default()
    };
    reply_to(peer, question).await.compared.expect("compared")
}

#[tokio::test]
async fn a_seed_with_altered_bytes_is_found_by_their_range() {
    let body = bytes(3 * CHUNK);
    let (peer, seed) = both_holding(&body).await;
    let digest = Digest::of(&body);
    std::fs::write(seed.file(&digest), with_byte_changed(&body, CHUNK + 7)).expect("altered");
    let other = compared(&peer, &seed.url, &digest, 0).await;
    assert_eq!(other, SpotCheckOutcome::Equal);
    let same = compared(&peer, &seed.url, &digest, CHUNK).await;
    assert_eq!(same, SpotCheckOutcome::Different);
    assert!(
        peer.world.store.sealed(&digest).is_some(),
        "the own copy is sound"
    );
}

#[tokio::test]
async fn a_peer_with_a_damaged_copy_accuses_no_seed_and_removes_the_copy() {
    let body = bytes(2 * CHUNK);
    let (peer, seed) = both_holding(&body).await;
    let digest = Digest::of(&body);
    let own = peer.world.store.sealed(&digest).expect("held").path().to_owned();
    std::fs::write(own, with_byte_changed(&body, 3)).expect("damaged");
    assert_eq!(
        compared(&peer, &seed.url, &digest, 0).await,
        SpotCheckOutcome::OwnDamaged
    );
    let removal = peer.world.store.removal(&digest).expect("removed");
    assert_eq!(removal.why, RemovalReason::Damaged);
}

#[tokio::test]
async fn without_a_seed_or_an_own_copy_nothing_is_compared() {
    let body = bytes(2 * CHUNK);
    let (peer, seed) = both_holding(&body).await;
    let digest = Digest::of(&body);
    let stranger = Parent::holding(&peer.world.around, &[&body]).await;
    for (url, digest) in [
        (stranger.url.as_str(), &digest),
        (seed.url.as_str(), &Digest::of(b"not held")),
        ("http://169.254.169.254", &digest),
    ] {
        let compared = compared(&peer, url, digest, 0).await;
        assert!(
            matches!(compared, SpotCheckOutcome::Nothing { .. }),
            "{url}: {compared:?}"
        );
    }
}

#[tokio::test]
async fn a_seed_that_does_not_vouch_for_the_object_is_not_accused() {
    let body = bytes(3 * CHUNK);
    let (peer, seed) = both_holding(&body).await;
    let digest = Digest::of(&body);
    std::fs::write(seed.file(&digest), with_byte_changed(&body, 7)).expect("altered");
    let hashes = seed.file(&digest).with_extension("chunks");
    std::fs::write(hashes, b"no list").expect("altered");
    let compared = compared(&peer, &seed.url, &digest, 0).await;
    assert!(
        matches!(compared, SpotCheckOutcome::Nothing { .. }),
        "{compared:?}"
    );
}
