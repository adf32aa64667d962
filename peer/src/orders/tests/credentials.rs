use wire::{Lot, PlacementOutcome, Side};

use super::support::{FakeManager, WorkingPeer};
use crate::fetch::tests::support::{Treat, bytes, eventually};
use crate::recorder::{Trace, attribute};
use oci::Digest;

const GOOD: &str = "Basic bGFzdGluZzpwdw==";

/// A lot of one object that only [`GOOD`] opens; the request came with the credential `c-1`.
async fn private(manager: &FakeManager) -> (WorkingPeer, Lot) {
    let peer = WorkingPeer::of(manager.clone()).await;
    let body = bytes(9);
    let digest = Digest::of(&body);
    let treat = Treat {
        bytes: body,
        authorization: Some(GOOD),
        ..Treat::default()
    };
    peer.world.registry.put(&digest, treat);
    let mut lot = peer.lot(1, &digest, 9, None);
    lot.credential = Some("c-1".to_owned());
    (peer, lot)
}

async fn outcome(peer: &WorkingPeer, lot: Lot) -> PlacementOutcome {
    peer.manager.hands_out(lot);
    eventually("settled", || !peer.manager.settled().is_empty()).await;
    peer.manager.settled()[0].outcome.clone()
}

fn configured_name(lot: &Lot) -> String {
    let location: oci::Location = lot.placements[0].location.parse().expect("a location");
    format!("registry:{}/{}", location.registry(), location.repository)
}

#[tokio::test]
async fn after_a_refused_token_the_configured_credential_is_used() {
    let manager = FakeManager::default();
    let (peer, lot) = private(&manager).await;
    manager.keeps_credential("c-1", "Bearer ended.long.ago");
    manager.keeps_credential(&configured_name(&lot), GOOD);
    let verified = outcome(&peer, lot).await;
    assert!(
        matches!(verified, PlacementOutcome::Verified { .. }),
        "{verified:?}"
    );
}

#[tokio::test]
async fn after_an_ended_credential_the_configured_one_is_used() {
    let manager = FakeManager::default();
    let (peer, lot) = private(&manager).await;
    manager.keeps_credential(&configured_name(&lot), GOOD);
    let verified = outcome(&peer, lot).await;
    assert!(
        matches!(verified, PlacementOutcome::Verified { .. }),
        "{verified:?}"
    );
}

#[tokio::test]
async fn without_a_configured_credential_an_ended_one_fails_the_placement() {
    for kept in [None, Some("Bearer ended.long.ago")] {
        let manager = FakeManager::default();
        let ((peer, mut lot), trace) = (private(&manager).await, Trace::begin());
        lot.trace = Some(trace.context());
        if let Some(kept) = kept {
            manager.keeps_credential("c-1", kept);
        }
        let PlacementOutcome::Failed { reason, side } = outcome(&peer, lot).await else {
            panic!("a private object was fetched without a credential");
        };
        assert_eq!(side, Side::Caller);
        let placement = trace.the("placement").await;
        assert_eq!(
            attribute(&placement, "error.type").as_deref(),
            Some("credential_ended")
        );
        assert!(!reason.contains("long.ago"), "{reason}");
    }
}
