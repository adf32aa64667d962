use bytes::Bytes;
use oci::Digest;
use store::CHUNK;
use tokio_util::sync::CancellationToken;

use super::support::{FakeManager, WorkingPeer};
use crate::fetch::tests::support::{Treat, bytes, eventually, read_all};

const HELD_AT: u64 = 3 * CHUNK;

/// A peer whose lot 1 waits for the registry, which has sent three chunks of five.
async fn in_the_middle() -> (WorkingPeer, Bytes, Digest, CancellationToken) {
    let peer = WorkingPeer::of(FakeManager::default()).await;
    let (body, goes_on) = (bytes(5 * CHUNK), CancellationToken::new());
    let digest = Digest::of(&body);
    let treat = Treat {
        bytes: body.clone(),
        hold: Some((HELD_AT + 300_000, goes_on.clone())),
        ..Treat::default()
    };
    peer.world.registry.put(&digest, treat);
    peer.manager
        .hands_out(peer.lot(1, &digest, body.len() as u64, None));
    let fetches = &peer.world.fetches;
    eventually("bytes have landed", || fetches.landed(&digest) > Some(HELD_AT)).await;
    (peer, body, digest, goes_on)
}

#[tokio::test]
async fn a_withdrawn_lot_stops_and_its_bytes_are_kept() {
    let (peer, body, digest, _held) = in_the_middle().await;
    peer.manager.takes_back(1);
    let fetches = &peer.world.fetches;
    eventually("the fetch has ended", || fetches.landed(&digest).is_none()).await;
    peer.world.registry.serve(&body);
    let following = peer.world.fetch(&digest);
    assert_eq!(read_all(&following).await, (body.to_vec(), Ok(())));
    let ranges = peer.world.registry.ranges();
    assert_eq!(ranges, [None, Some(format!("bytes={HELD_AT}-"))]);
    assert!(peer.manager.settled().is_empty(), "nothing is settled for it");
}

#[tokio::test]
async fn a_runtimes_read_continues_when_its_lot_is_withdrawn() {
    let (peer, body, digest, held) = in_the_middle().await;
    let following = peer.world.fetch(&digest);
    peer.manager.takes_back(1);
    eventually("the lot is over", || {
        crate::metrics::tests::scraped(&peer.metrics, &peer.world.store).contains("stoker_lots_running 0\n")
    })
    .await;
    held.cancel();
    assert_eq!(read_all(&following).await, (body.to_vec(), Ok(())));
    assert_eq!(peer.world.registry.ranges(), [None], "one GET");
}

#[tokio::test]
async fn another_lot_with_the_same_object_continues() {
    let (peer, body, digest, held) = in_the_middle().await;
    peer.manager
        .hands_out(peer.lot(2, &digest, body.len() as u64, None));
    eventually("both lots", || {
        crate::metrics::tests::scraped(&peer.metrics, &peer.world.store).contains("stoker_lots_running 2\n")
    })
    .await;
    peer.manager.takes_back(1);
    eventually("one lot", || {
        crate::metrics::tests::scraped(&peer.metrics, &peer.world.store).contains("stoker_lots_running 1\n")
    })
    .await;
    held.cancel();
    eventually("settled", || !peer.manager.settled().is_empty()).await;
    let settled = peer.manager.settled();
    assert_eq!(settled.len(), 1);
    assert_eq!(settled[0].work, 2);
}
