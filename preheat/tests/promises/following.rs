use std::time::Duration;

use preheat::{PreheatState, Scope};
use wire::{PlacementProgress, ProgressReport, Side};

use crate::rows::{count, execute, number};
use crate::support::{Peer, World, failed, verified};

/// A preheat that is being placed, and one that follows it.
async fn pair(world: &mut World, seed: &Peer) -> (i64, i64, Vec<wire::Lot>) {
    world.registry.image(Some("v1"), &["a", "b"]);
    let leader = world.submit("v1", Scope::SingleSeedPeer).await;
    let lots = seed.take().await;
    world.idle().await;
    let follower = world.submit("v1", Scope::SingleSeedPeer).await;
    execute(
        world,
        &format!("UPDATE preheats SET follows = {leader}, state = 'placing' WHERE id = {follower}"),
    )
    .await;
    execute(
        world,
        &format!("DELETE FROM work WHERE work_group = 'preheat:{follower}'"),
    )
    .await;
    (leader, follower, lots)
}

#[tokio::test]
async fn a_follower_succeeds_with_its_leader_and_shows_its_placements() {
    let mut world = World::start().await;
    let seed = world.seed("seed-1").await;
    let (leader, follower, lots) = pair(&mut world, &seed).await;
    let report = ProgressReport {
        working_on: vec![lots[0].work],
        placements: vec![PlacementProgress {
            preheat: leader,
            digest: lots[0].placements[3].digest.clone(),
            bytes_done: 40,
        }],
        ..ProgressReport::default()
    };
    preheat::progress(&world.preheater, seed.session(), report)
        .await
        .unwrap();
    let (one, other) = (world.view(leader).await, world.view(follower).await);
    assert_eq!(other.follows, Some(leader));
    assert_eq!(
        (other.bytes_done, other.bytes_total, other.placements_open),
        (40, one.bytes_total, 4),
        "what moves for its leader moves for it"
    );
    seed.verify_all(&lots).await;
    let (one, other) = (world.view(leader).await, world.view(follower).await);
    assert_eq!(other.state, PreheatState::Succeeded);
    assert_eq!(other.placements_verified, 4);
    assert_eq!((&other.digest, other.bytes_done), (&one.digest, one.bytes_total));
    assert_eq!(
        preheat::objects(&world.preheater, follower).await.unwrap(),
        preheat::objects(&world.preheater, leader).await.unwrap()
    );
    let rows = preheat::harbor_rows(&world.preheater, follower, 100)
        .await
        .unwrap();
    assert_eq!(rows.rows.len(), 4);
}

#[tokio::test]
async fn a_follower_fails_with_its_leader_for_the_same_reason() {
    let mut world = World::start().await;
    let seed = world.seed("seed-1").await;
    let (leader, follower, lots) = pair(&mut world, &seed).await;
    seed.settle(failed(&lots[0], "gone from the registry")).await;
    let (one, other) = (world.view(leader).await, world.view(follower).await);
    assert_eq!(other.state, PreheatState::Failed);
    assert_eq!((other.reason, other.side), (one.reason, Some(Side::Registry)));
    assert_eq!(other.placements_failed, 4);
}

#[tokio::test]
async fn followers_of_a_cancelled_preheat_go_on_by_themselves() {
    let mut world = World::start().await;
    let seed = world.seed("seed-1").await;
    let (leader, follower, _) = pair(&mut world, &seed).await;
    preheat::cancel(&world.preheater, leader, "ana").await.unwrap();
    let view = world.view(follower).await;
    assert_eq!((view.state, view.follows), (PreheatState::Waiting, None));
    world.restart(Duration::ZERO).await;
    let seed = seed.at(&world);
    seed.verify_all(&seed.take().await).await;
    assert_eq!(world.view(follower).await.state, PreheatState::Succeeded);
    assert_eq!(world.view(leader).await.state, PreheatState::Cancelled);
}

#[tokio::test]
async fn a_cancelled_follower_leaves_its_leader_alone() {
    let mut world = World::start().await;
    let seed = world.seed("seed-1").await;
    let (leader, follower, lots) = pair(&mut world, &seed).await;
    preheat::cancel(&world.preheater, follower, "ana").await.unwrap();
    assert_eq!(world.view(leader).await.state, PreheatState::Placing);
    seed.verify_all(&lots).await;
    assert_eq!(world.view(leader).await.state, PreheatState::Succeeded);
    assert_eq!(world.view(follower).await.state, PreheatState::Cancelled);
}

#[tokio::test]
async fn a_leader_whose_time_is_over_does_not_take_its_followers_along() {
    let mut world = World::start().await;
    let seed = world.seed("seed-1").await;
    let (leader, follower, _) = pair(&mut world, &seed).await;
    execute(
        &world,
        &format!("UPDATE preheats SET deadline_ms = deadline_ms - 1000000 WHERE id = {leader}"),
    )
    .await;
    world.advance(Duration::from_secs(705)).await;
    assert_eq!(world.view(leader).await.state, PreheatState::Failed);
    let view = world.view(follower).await;
    assert_eq!((view.state, view.follows), (PreheatState::Waiting, None));
    assert_eq!(count(&world, "work").await, 1, "it has work of its own again");
}

#[tokio::test]
async fn a_follower_whose_time_is_over_names_the_open_placements_of_its_leader() {
    let mut world = World::start().await;
    let seed = world.seed("seed-1").await;
    let (leader, follower, _) = pair(&mut world, &seed).await;
    execute(
        &world,
        &format!("UPDATE preheats SET deadline_ms = deadline_ms - 1000000 WHERE id = {follower}"),
    )
    .await;
    world.advance(Duration::from_secs(705)).await;
    let view = world.view(follower).await;
    let reason = view.reason.unwrap();
    insta::assert_snapshot!(reason, @"not done within 700 s: 4 of 4 placements are open: sha256:5aa7c13016ab on seed-1; sha256:57c8d0937df1 on seed-1; sha256:3e23e8160039 on seed-1");
    assert_ne!(world.view(leader).await.state, PreheatState::Succeeded);
}

#[tokio::test]
async fn a_follower_keeps_its_placements_when_its_leader_is_retried() {
    let mut world = World::start().await;
    let seed = world.seed("seed-1").await;
    let (leader, follower, lots) = pair(&mut world, &seed).await;
    seed.settle(failed(&lots[0], "gone from the registry")).await;
    preheat::retry(&world.preheater, leader, None, "ana")
        .await
        .unwrap();
    let of = async |id| {
        preheat::harbor_rows(&world.preheater, id, 100)
            .await
            .unwrap()
            .rows
    };
    assert_eq!((of(leader).await.len(), of(follower).await.len()), (0, 4));
    assert_eq!(
        number(
            &world,
            "SELECT count(*) AS n FROM preheats WHERE follows IS NOT NULL"
        )
        .await,
        0
    );
}

#[tokio::test]
async fn a_retried_follower_works_for_itself() {
    let mut world = World::start().await;
    let seed = world.seed("seed-1").await;
    let (leader, follower, lots) = pair(&mut world, &seed).await;
    seed.settle(failed(&lots[0], "gone from the registry")).await;
    preheat::retry(&world.preheater, follower, None, "ana")
        .await
        .unwrap();
    world.restart(Duration::ZERO).await;
    let seed = seed.at(&world);
    let again = seed.take().await;
    seed.settle(again.iter().flat_map(verified).collect()).await;
    assert_eq!(world.view(follower).await.state, PreheatState::Succeeded);
    let rows = preheat::harbor_rows(&world.preheater, leader, 100).await.unwrap();
    assert_eq!(
        rows.rows.iter().filter(|row| !row.ok).count(),
        4,
        "its leader's failure stays"
    );
}
