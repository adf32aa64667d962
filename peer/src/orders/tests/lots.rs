use oci::Digest;
use store::RemovalReason;
use store::testing::Signer;
use wire::{Lot, PlacementOutcome, TagRecord};

use super::support::{FakeManager, WorkingPeer};
use crate::fetch::tests::support::{bytes, eventually, seal};
use crate::metrics::tests::scraped;
use crate::recorder::{Trace, attribute, id_of};

#[tokio::test]
async fn a_lot_is_part_of_its_preheats_trace() {
    let (peer, trace) = (WorkingPeer::of(FakeManager::default()).await, Trace::begin());
    let digest = peer.world.registry.serve(&bytes(9));
    peer.manager
        .hands_out(peer.lot(1, &digest, 9, Some(trace.context())));
    let lot = trace.the("lot").await;
    assert_eq!(lot.parent_span_id, trace.root_id());
    for (key, value) in [
        ("stoker.preheat", "7"),
        ("stoker.image", "registry.lan/library/sample:1"),
        ("stoker.peer", "seed-a"),
        ("stoker.cluster", "edge"),
        ("stoker.placements", "1"),
    ] {
        assert_eq!(attribute(&lot, key).as_deref(), Some(value), "{key}");
    }
    let placement = trace.the("placement").await;
    assert_eq!(placement.parent_span_id, id_of(&lot));
    for (key, value) in [
        ("stoker.digest", digest.as_str()),
        ("stoker.bytes", "9"),
        ("stoker.outcome", "verified"),
        ("stoker.result", "miss"),
    ] {
        assert_eq!(attribute(&placement, key).as_deref(), Some(value), "{key}");
    }
    assert_eq!(trace.the("fetch").await.parent_span_id, id_of(&placement));
    let brought = peer.world.store.brought(&digest).expect("kept");
    assert!(brought.as_str().contains(&id_of(&placement).to_string()));
}

#[tokio::test]
async fn a_lot_that_is_handed_out_again_after_a_restart_stays_in_its_trace() {
    let (peer, trace) = (WorkingPeer::of(FakeManager::default()).await, Trace::begin());
    let digest = peer.world.registry.serve(&bytes(9));
    let context = Some(trace.context());
    peer.manager.hands_out(peer.lot(1, &digest, 9, context.clone()));
    eventually("settled", || peer.manager.settled().len() == 1).await;
    peer.manager.ends_session();
    eventually("a new session", || peer.manager.sessions() == 2).await;
    peer.manager.hands_out(peer.lot(1, &digest, 9, context));
    let lots = trace.named("lot", 2).await;
    assert!(lots.iter().all(|lot| lot.parent_span_id == trace.root_id()));
    let placements = trace.named("placement", 2).await;
    assert_eq!(attribute(&placements[1], "stoker.result").as_deref(), Some("hit"));
}

#[tokio::test]
async fn a_listed_object_that_the_registry_lost_is_the_registrys_failure() {
    let (peer, trace) = (WorkingPeer::of(FakeManager::default()).await, Trace::begin());
    let unknown = Digest::of(b"nobody has it");
    peer.manager
        .hands_out(peer.lot(1, &unknown, 9, Some(trace.context())));
    let placement = trace.the("placement").await;
    for (key, value) in [
        ("stoker.outcome", "failed"),
        ("stoker.side", "registry"),
        ("error.type", "not_found"),
    ] {
        assert_eq!(attribute(&placement, key).as_deref(), Some(value), "{key}");
    }
    eventually("settled", || !peer.manager.settled().is_empty()).await;
    let PlacementOutcome::Failed { reason, side } = peer.manager.settled()[0].outcome.clone() else {
        panic!("what nobody has was verified");
    };
    assert_eq!(side, wire::Side::Registry);
    assert!(reason.contains(unknown.as_str()), "{reason}");
}

#[tokio::test]
async fn bytes_that_come_with_a_lot_are_stored_only_if_they_have_the_digest() {
    let peer = WorkingPeer::of(FakeManager::default()).await;
    let [digest, other] = [b"by tag", b"other "].map(|bytes| Digest::of(bytes));
    for (work, wanted) in [(1, &digest), (2, &other)] {
        let mut lot = peer.lot(work, wanted, 6, None);
        lot.placements[0].bytes = Some(wire::EmbeddedBytes::new(b"by tag".to_vec()));
        peer.manager.hands_out(lot);
    }
    eventually("settled", || peer.manager.settled().len() == 2).await;
    for settled in peer.manager.settled() {
        let is_verified = matches!(settled.outcome, PlacementOutcome::Verified { .. });
        assert_eq!(is_verified, settled.digest == digest.as_str(), "{settled:?}");
    }
    let location = peer.world.wanted(&digest).location;
    assert!(peer.world.store.has_delivered(&digest, &location));
    assert!(peer.world.store.sealed(&other).is_none());
}

#[tokio::test]
async fn sessions_and_lots_are_counted_while_they_last() {
    let peer = WorkingPeer::of(FakeManager::default()).await;
    let counted = || scraped(&peer.metrics, &peer.world.store);
    eventually("up", || counted().contains("stoker_session_up 1\n")).await;
    let digest = peer.world.registry.serve(&bytes(9));
    peer.manager.hands_out(peer.lot(1, &digest, 9, None));
    eventually("settled", || peer.manager.settled().len() == 1).await;
    eventually("no lot", || counted().contains("stoker_lots_running 0\n")).await;
    drop(peer);
}

#[tokio::test]
async fn the_manager_learns_of_a_removal() {
    let peer = WorkingPeer::of(FakeManager::default()).await;
    eventually("a session", || peer.manager.sessions() == 1).await;
    let body = bytes(9);
    let digest = Digest::of(&body);
    seal(&peer.world.store, &body).await;
    peer.world
        .store
        .remove(&digest, RemovalReason::Asked)
        .await
        .expect("removed");
    eventually("reported", || peer.manager.lost() == [digest.to_string()]).await;
}

const RESOLVED_MS: i64 = 1_700_000_000_000;

/// A lot of one public object, which its image's tag meant.
fn public_lot(peer: &WorkingPeer, signer: &Signer, work: i64, digest: &Digest) -> Lot {
    let lot = peer.lot(work, digest, 9, None);
    let location = peer.world.wanted(digest).location;
    Lot {
        tag: Some(signer.tag(&TagRecord {
            location: location.to_string(),
            tag: "1".to_owned(),
            digest: digest.to_string(),
            media_type: "application/x".to_owned(),
            seen_unix_ms: RESOLVED_MS,
        })),
        public: Some(signer.public_lot(&[digest.as_str()], &location, RESOLVED_MS)),
        ..lot
    }
}

#[tokio::test]
async fn the_signed_records_of_a_lot_are_kept_with_their_time() {
    let peer = WorkingPeer::of(FakeManager::default()).await;
    let digest = peer.world.registry.serve(&bytes(9));
    let lot = public_lot(&peer, &peer.manager.signer(), 1, &digest);
    peer.manager.hands_out(lot.clone());
    eventually("settled", || peer.manager.settled().len() == 1).await;
    let (store, location) = (&peer.world.store, peer.world.wanted(&digest).location);
    assert_eq!(store.public_at(&digest, &location), Some(RESOLVED_MS));
    assert!(store.public_proof(&digest, &location).is_some());
    assert_eq!(store.signed_tag(&location.to_string(), "1"), lot.tag);
}

#[tokio::test]
async fn records_of_another_manager_or_cluster_are_not_kept() {
    let peer = WorkingPeer::of(FakeManager::default()).await;
    let elsewhere = peer.manager.signer().for_cluster("elsewhere");
    for (work, signer) in [(1, Signer::of("edge")), (2, elsewhere)] {
        let digest = peer.world.registry.serve(&bytes(9));
        peer.manager.hands_out(public_lot(&peer, &signer, work, &digest));
        let settled = usize::try_from(work).expect("small");
        eventually("settled", || peer.manager.settled().len() == settled).await;
        let (store, location) = (&peer.world.store, peer.world.wanted(&digest).location);
        assert_eq!(store.public_at(&digest, &location), None, "{work}");
        assert_eq!(store.tag(&location.to_string(), "1"), None, "{work}");
    }
}
