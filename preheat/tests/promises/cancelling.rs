use std::time::Duration;

use preheat::{CancelError, Limits, PreheatState, Scope};
use wire::{ProgressReport, Side, TakeRequest};

use crate::rows::count;
use crate::support::{World, verified};

async fn cancel(world: &World, id: i64) -> Result<preheat::PreheatView, CancelError> {
    preheat::cancel(&world.preheater, id, "ana").await
}

#[tokio::test]
async fn a_cancelled_preheat_leaves_no_work_and_no_credential() {
    let world = World::start().await;
    let seeds = [world.seed("seed-1").await, world.seed("seed-2").await];
    world.node("node-1").await;
    world.registry.image(
        Some("v1"),
        &["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"],
    );
    let mut request = world.request("v1", Scope::AllPeers);
    request.credential = Some(oci::Credential::from_authorization("Bearer x"));
    let id = world.submit_request(request).await;
    let before = world.until_state(id, PreheatState::Placing).await;
    let _taken = seeds[0].take().await;
    assert!(count(&world, "work").await > 1, "parked lots too");
    let view = cancel(&world, id).await.unwrap();
    assert_eq!(view.state, PreheatState::Cancelled);
    assert_eq!(view.reason.as_deref(), Some("cancelled by ana"));
    assert_eq!((view.side, view.placements_open), (None, 0));
    assert_eq!(view.placements_failed, before.placements_total);
    assert!(view.finished_ms.is_some());
    for table in ["work", "lots", "credentials"] {
        assert_eq!(count(&world, table).await, 0, "{table}");
    }
}

#[tokio::test]
async fn a_peer_learns_that_its_lot_was_cancelled_and_settles_nothing_of_it() {
    let world = World::start().await;
    let seed = world.seed("seed-1").await;
    world.registry.image(Some("v1"), &["a"]);
    let id = world.submit("v1", Scope::SingleSeedPeer).await;
    let lots = seed.take().await;
    cancel(&world, id).await.unwrap();
    let report = ProgressReport {
        working_on: vec![lots[0].work],
        ..ProgressReport::default()
    };
    let answer = preheat::progress(&world.preheater, seed.session(), report)
        .await
        .unwrap();
    assert_eq!(answer.withdrawn, [lots[0].work]);
    assert_eq!(seed.settle(verified(&lots[0])).await, [lots[0].work], "stale");
    let view = world.view(id).await;
    assert_eq!(
        (view.state, view.placements_verified),
        (PreheatState::Cancelled, 0)
    );
}

#[tokio::test]
async fn a_peer_that_waits_for_work_learns_of_a_cancelled_lot_at_once() {
    let hour = Duration::from_secs(3_600);
    let world = World::with_limits(Limits {
        take_wait: hour,
        session_lease: hour * 3,
        ..Limits::default()
    })
    .await;
    let seed = world.seed("seed-1").await;
    world.registry.image(Some("v1"), &["a"]);
    let id = world.submit("v1", Scope::SingleSeedPeer).await;
    let lots = seed.take().await;
    let request = TakeRequest {
        at_most: 4,
        wait_ms: 3_600_000,
        neighbourhood_version: seed.neighbourhood_version().await.unwrap(),
        working_on: vec![lots[0].work],
        images: None,
        removals: 0,
    };
    let (preheater, session) = (world.preheater.clone(), seed.session());
    let waits = tokio::spawn(async move { preheat::take(&preheater, session, request).await.unwrap() });
    // Most likely it waits by then; should it not, it is told all the same.
    tokio::time::sleep(Duration::from_millis(200)).await;
    cancel(&world, id).await.unwrap();
    let answer = tokio::time::timeout(Duration::from_secs(60), waits).await;
    let answer = answer.expect("it does not wait for an hour").unwrap();
    assert_eq!(answer.withdrawn, [lots[0].work]);
}

#[tokio::test]
async fn a_preheat_can_be_cancelled_before_it_is_resolved() {
    let mut world = World::start().await;
    world.idle().await;
    let id = world.submit("v1", Scope::SingleSeedPeer).await;
    cancel(&world, id).await.unwrap();
    assert_eq!(count(&world, "work").await, 0);
    assert_eq!(world.registry.asked(), 0);
}

#[tokio::test]
async fn only_an_open_preheat_can_be_cancelled() {
    let world = World::start().await;
    assert!(matches!(cancel(&world, 7).await, Err(CancelError::Unknown(7))));
    let seed = world.seed("seed-1").await;
    world.registry.image(Some("v1"), &["a"]);
    let id = world.submit("v1", Scope::SingleSeedPeer).await;
    seed.verify_all(&seed.take().await).await;
    let refused = cancel(&world, id).await.unwrap_err();
    let state = PreheatState::Succeeded;
    assert!(
        matches!(refused, CancelError::AlreadyEnded { state: found, .. } if found == state),
        "{refused}"
    );
    assert_eq!(world.view(id).await.state, PreheatState::Succeeded);
    let other = world.submit("v1", Scope::SingleSeedPeer).await;
    cancel(&world, other).await.unwrap();
    let state = PreheatState::Cancelled;
    let again = cancel(&world, other).await.unwrap_err();
    assert!(matches!(again, CancelError::AlreadyEnded { state: found, .. } if found == state));
}

#[tokio::test]
async fn open_placements_of_a_cancelled_preheat_name_its_caller() {
    let world = World::start().await;
    let seed = world.seed("seed-1").await;
    world.registry.image(Some("v1"), &["a"]);
    let id = world.submit("v1", Scope::SingleSeedPeer).await;
    let lots = seed.take().await;
    seed.settle(verified(&lots[0])[..1].to_vec()).await;
    cancel(&world, id).await.unwrap();
    let objects = preheat::objects(&world.preheater, id).await.unwrap();
    let placements: Vec<_> = objects.iter().flat_map(|object| &object.placements).collect();
    let ended = placements
        .iter()
        .filter(|placed| placed.reason.as_deref() == Some("cancelled by ana"));
    assert_eq!((placements.len(), ended.clone().count()), (3, 2));
    assert!(ended.into_iter().all(|placed| placed.side == Some(Side::Caller)));
}
