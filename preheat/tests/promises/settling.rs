use std::time::Duration;

use preheat::{ListQuery, PlacementState, PreheatState, Scope, SessionError};
use sea_orm::ConnectionTrait;
use wire::{PlacementOutcome, PlacementProgress, ProgressReport, Role, Settlement, TraceContext};

use crate::rows::{count, database};
use crate::support::{World, failed, verified};

fn with_credential(world: &World) -> preheat::PreheatRequest {
    let credential = Some(oci::Credential::from_authorization("Bearer x"));
    preheat::PreheatRequest {
        credential,
        ..world.request("v1", Scope::SingleSeedPeer)
    }
}

#[tokio::test]
async fn submit_and_its_first_work_commit_together() {
    let mut world = World::start().await;
    world.idle().await;
    world.submit_request(with_credential(&world)).await;
    for table in ["preheats", "work", "credentials"] {
        assert_eq!(count(&world, table).await, 1, "{table}");
    }
    let hide = "ALTER TABLE work RENAME TO hidden";
    database(&world).await.execute_unprepared(hide).await.unwrap();
    preheat::submit(&world.preheater, None, with_credential(&world), None)
        .await
        .unwrap_err();
    for table in ["preheats", "hidden", "credentials"] {
        assert_eq!(
            count(&world, table).await,
            1,
            "without its work nothing of it is kept: {table}"
        );
    }
}

#[tokio::test]
async fn submit_keeps_the_requester_and_asks_no_registry() {
    let mut world = World::start().await;
    world.idle().await;
    let trace = TraceContext::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    let request = world.request("v1", Scope::SingleSeedPeer);
    let id = preheat::submit(&world.preheater, Some("token-1"), request, trace)
        .await
        .unwrap();
    let view = world.view(id).await;
    assert_eq!((id, view.state), (1, PreheatState::Waiting));
    assert_eq!(view.trace_id.as_deref(), Some("0af7651916cd43dd8448eb211c80319c"));
    assert_eq!(view.created_by.as_deref(), Some("token-1"));
    assert_eq!(
        view.url,
        format!("http://{}/v2/team/app/manifests/v1", world.registry.host)
    );
    assert_eq!(world.registry.asked(), 0);
    let listed = preheat::list(
        &world.preheater,
        ListQuery {
            limit: 10,
            ..ListQuery::default()
        },
    )
    .await
    .unwrap();
    assert_eq!(listed, [view]);
}

#[tokio::test]
async fn a_preheat_ends_with_its_last_settle() {
    let world = World::start().await;
    let seed = world.seed("seed-1").await;
    world.registry.image(Some("v1"), &["a", "b"]);
    let id = world.submit("v1", Scope::SingleSeedPeer).await;
    let lots = seed.take().await;
    let mut outcomes = verified(&lots[0]);
    assert_eq!(outcomes.len(), 4);
    let last = outcomes.pop().unwrap();
    seed.settle(outcomes).await;
    let view = world.view(id).await;
    assert_eq!((view.state, view.placements_open), (PreheatState::Placing, 1));
    seed.settle(vec![last]).await;
    let view = world.view(id).await;
    assert_eq!(
        (view.state, view.placements_verified),
        (PreheatState::Succeeded, 4)
    );
    assert_eq!(view.bytes_done, view.bytes_total);
    assert!(view.finished_ms.is_some());
    for table in ["work", "lots", "credentials"] {
        assert_eq!(count(&world, table).await, 0, "{table}");
    }
}

#[tokio::test]
async fn a_preheat_with_a_failed_placement_never_succeeds() {
    let world = World::start().await;
    let seed = world.seed("seed-1").await;
    world.registry.image(Some("v1"), &["a"]);
    let id = world.submit("v1", Scope::SingleSeedPeer).await;
    let lots = seed.take().await;
    let mut outcomes = verified(&lots[0]);
    outcomes[2] = failed(&lots[0], "the registry said 404").remove(2);
    seed.settle(outcomes).await;
    let view = world.view(id).await;
    assert_eq!(view.state, PreheatState::Failed);
    let reason = view.reason.unwrap();
    insta::assert_snapshot!(reason, @"the registry said 404; 1 of 3 placements failed, sha256:ca978112ca1b on seed-1");
    let rows = preheat::harbor_rows(&world.preheater, id, 2).await.unwrap();
    assert_eq!((rows.rows.len(), rows.left_out), (2, 1));
    assert!(!rows.rows[0].ok && rows.rows[1].ok);
    assert!(
        rows.rows[0].url.contains("/v2/team/app/blobs/sha256:"),
        "{}",
        rows.rows[0].url
    );
    assert_eq!(rows.rows[0].hostname, "seed-1");
}

#[tokio::test]
async fn a_settle_with_an_old_fence_changes_nothing() {
    let world = World::start().await;
    let seed = world.seed("seed-1").await;
    world.registry.image(Some("v1"), &["a"]);
    let id = world.submit("v1", Scope::SingleSeedPeer).await;
    let old = seed.take().await;
    let again = world.peer("seed-1", Role::Seed, "default", seed.id).await;
    let new = again.take().await;
    assert_eq!(old[0].work, new[0].work);
    assert!(new[0].fence > old[0].fence);
    assert_eq!(again.settle(verified(&old[0])).await, [old[0].work]);
    assert_eq!(world.view(id).await.placements_verified, 0);
    again.verify_all(&new).await;
    assert_eq!(world.view(id).await.state, PreheatState::Succeeded);
}

#[tokio::test]
async fn settles_are_idempotent() {
    let world = World::start().await;
    let seed = world.seed("seed-1").await;
    world.registry.image(Some("v1"), &["a", "b"]);
    let id = world.submit("v1", Scope::SingleSeedPeer).await;
    let lots = seed.take().await;
    let first = verified(&lots[0])[..1].to_vec();
    for _ in 0..3 {
        assert!(seed.settle(first.clone()).await.is_empty());
    }
    // What was said first holds.
    let otherwise = failed(&lots[0], "changed its mind")[..1].to_vec();
    assert!(seed.settle(otherwise).await.is_empty());
    let view = world.view(id).await;
    assert_eq!(
        (
            view.placements_verified,
            view.placements_failed,
            view.placements_open
        ),
        (1, 0, 3)
    );
    let unknown = Settlement {
        work: lots[0].work,
        fence: lots[0].fence,
        digest: "sha256:nonsense".into(),
        outcome: PlacementOutcome::Verified {
            bytes_from_registry: 0,
            bytes_from_peers: 0,
        },
    };
    seed.settle(vec![unknown]).await;
    assert_eq!(world.view(id).await.placements_open, 3);
}

#[tokio::test]
async fn an_ended_session_gets_an_error() {
    let world = World::start().await;
    let seed = world.seed("seed-1").await;
    world.peer("seed-1", Role::Seed, "default", seed.id).await;
    assert!(matches!(seed.try_take(0).await, Err(SessionError::Ended)));
    let report = ProgressReport::default();
    let answer = preheat::progress(&world.preheater, seed.session(), report).await;
    assert!(matches!(answer, Err(SessionError::Ended)));
}

#[tokio::test]
async fn a_lot_whose_response_was_lost_is_handed_out_again() {
    let world = World::start().await;
    let seed = world.seed("seed-1").await;
    world.registry.image(Some("v1"), &["a"]);
    world.submit("v1", Scope::SingleSeedPeer).await;
    let lost = seed.take().await;
    assert!(seed.take_now().await.is_empty());
    world.clock.advance(11_000);
    let again = seed.take_now().await;
    assert_eq!((again[0].work, again[0].fence), (lost[0].work, lost[0].fence));
    let report = ProgressReport {
        working_on: vec![again[0].work],
        ..ProgressReport::default()
    };
    preheat::progress(&world.preheater, seed.session(), report)
        .await
        .unwrap();
    world.clock.advance(11_000);
    assert!(seed.take_now().await.is_empty());
}

#[tokio::test]
async fn progress_shows_and_withdrawn_lots_are_named() {
    let world = World::start().await;
    let seed = world.seed("seed-1").await;
    let (root, _) = world.registry.image(Some("v1"), &["a"]);
    let id = world.submit("v1", Scope::SingleSeedPeer).await;
    let lots = seed.take().await;
    let layer = lots[0]
        .placements
        .iter()
        .find(|placement| placement.size == 100)
        .unwrap();
    let moving = PlacementProgress {
        preheat: id,
        digest: layer.digest.clone(),
        bytes_done: 40,
    };
    let report = ProgressReport {
        placements: vec![moving],
        working_on: vec![lots[0].work, 999],
        ..ProgressReport::default()
    };
    let answer = preheat::progress(&world.preheater, seed.session(), report)
        .await
        .unwrap();
    assert_eq!(answer.withdrawn, [999]);
    assert_eq!(world.view(id).await.bytes_done, 40);
    let objects = preheat::objects(&world.preheater, id).await.unwrap();
    assert_eq!(objects[0].digest, root.as_str());
    let shown = objects
        .iter()
        .find(|object| object.digest == layer.digest)
        .unwrap();
    assert_eq!(shown.placements[0].bytes_done, 40);
    assert_eq!(shown.placements[0].state, PlacementState::Fetching);
    assert_eq!(shown.placements[0].peer_ip, "seed-1.lan");
    world.advance(Duration::from_secs(1)).await;
}
