use std::time::Duration;

use preheat::{ClusterChoice, ClusterSettings, Limits, PreheatState, Scope};
use wire::{Role, Side};

use crate::support::{Peer, World};

const JUST_OVER_A_LEASE: Duration = Duration::from_secs(16);

/// Keeps these peers alive while the clock moves on.
async fn pass(world: &World, seconds: u64, alive: &[&Peer]) {
    for _ in 0..seconds.div_ceil(5) {
        world.clock.advance(5_000);
        for peer in alive {
            peer.try_take(0).await.unwrap();
        }
        world.preheater.sweep().await.unwrap();
    }
}

#[tokio::test]
async fn a_lost_session_sends_its_work_back_to_the_same_peer() {
    let world = World::start().await;
    let seed = world.seed("seed-1").await;
    world.registry.image(Some("v1"), &["a", "b"]);
    let id = world.submit("v1", Scope::AllSeedPeers).await;
    let lots = seed.take().await;
    seed.settle(crate::support::verified(&lots[0])[..1].to_vec())
        .await;
    world.advance(JUST_OVER_A_LEASE).await;
    assert!(seed.try_take(0).await.is_err());
    let peers = preheat::peers(&world.preheater).await.unwrap();
    assert!(!peers[0].alive);
    let again = world.peer("seed-1", Role::Seed, "default", seed.id).await;
    let lots = again.take_now().await;
    assert_eq!(lots[0].placements.len(), 3, "what was settled stays settled");
    again.verify_all(&lots).await;
    assert_eq!(world.view(id).await.state, PreheatState::Succeeded);
}

#[tokio::test]
async fn work_of_a_lost_seed_goes_to_another_one() {
    let world = World::start().await;
    let lost = world.seed("seed-1").await;
    world.registry.image(Some("v1"), &["a", "b"]);
    let id = world.submit("v1", Scope::SingleSeedPeer).await;
    let old = lost.take().await;
    lost.settle(crate::support::verified(&old[0])[..1].to_vec()).await;
    let other = world.seed("seed-2").await;
    pass(&world, 15, &[&other]).await;
    assert!(other.take_now().await.is_empty(), "it was replanned too early");
    pass(&world, 25, &[&other]).await;
    // The polls above may have taken the lot already; a lot that was not confirmed comes again.
    world.clock.advance(11_000);
    let lots = other.take().await;
    assert_eq!(lots.iter().map(|lot| lot.placements.len()).sum::<usize>(), 3);
    let back = world.peer("seed-1", Role::Seed, "default", lost.id).await;
    assert!(back.take_now().await.is_empty(), "the work was moved");
    assert_eq!(
        back.settle(crate::support::verified(&old[0])).await,
        [old[0].work]
    );
    other.verify_all(&lots).await;
    assert_eq!(world.view(id).await.state, PreheatState::Succeeded);
}

#[tokio::test]
async fn an_absent_peer_fails_its_placements() {
    let world = World::start().await;
    let seed = world.seed("seed-1").await;
    let _node = world.node("node-1").await;
    world.registry.image(Some("v1"), &["a"]);
    let id = world.submit("v1", Scope::AllPeers).await;
    seed.verify_all(&seed.take().await).await;
    pass(&world, 300, &[&seed]).await;
    assert_eq!(world.view(id).await.state, PreheatState::Placing);
    pass(&world, 30, &[&seed]).await;
    let view = world.view(id).await;
    assert_eq!((view.state, view.side), (PreheatState::Failed, Some(Side::Peer)));
    let reason = view.reason.unwrap();
    insta::assert_snapshot!(reason, @"peer left: node-1 was disconnected for 300 s; start it again or preheat anew (none of its 3 objects was begun); 3 of 6 placements failed, sha256:eee90f18866f on node-1");
    assert_eq!((view.placements_verified, view.placements_failed), (3, 3));
}

/// Two nodes, of which some leave a cluster that tolerates one.
async fn after_leaving(leaving: usize) -> (World, i64) {
    let tolerant = ClusterSettings {
        tolerated_absent: 1,
        ..ClusterSettings::default()
    };
    let world = World::with_cluster(tolerant).await;
    let seed = world.seed("seed-1").await;
    let nodes = [world.node("node-1").await, world.node("node-2").await];
    world.registry.image(Some("v1"), &["a"]);
    let id = world.submit("v1", Scope::AllPeers).await;
    seed.verify_all(&seed.take().await).await;
    // One has begun, the other has not taken anything yet: both ways of leaving count alike.
    nodes[0].take().await;
    for node in &nodes[leaving..] {
        node.verify_all(&node.take().await).await;
    }
    pass(&world, 330, &[&seed]).await;
    (world, id)
}

#[tokio::test]
async fn a_tolerated_absentee_does_not_fail_a_preheat_and_is_listed() {
    let (world, id) = after_leaving(1).await;
    let view = world.view(id).await;
    assert_eq!((view.state, view.reason), (PreheatState::Succeeded, None));
    assert_eq!((view.placements_verified, view.placements_failed), (6, 3));
    let rows = preheat::harbor_rows(&world.preheater, id, 100)
        .await
        .unwrap()
        .rows;
    let failed: Vec<_> = rows.iter().filter(|row| !row.ok).collect();
    assert_eq!((rows.len(), failed.len()), (9, 3));
    assert!(failed.iter().all(|row| row.hostname == "node-1"));
    let mut descriptions: Vec<&str> = failed.iter().map(|row| row.description.as_str()).collect();
    descriptions.dedup();
    insta::assert_snapshot!(descriptions.join("\n"), @"peer left: node-1 was disconnected for 300 s; start it again or preheat anew");
}

#[tokio::test]
async fn one_more_absentee_than_tolerated_fails_a_preheat() {
    let (world, id) = after_leaving(2).await;
    let view = world.view(id).await;
    assert_eq!((view.state, view.side), (PreheatState::Failed, Some(Side::Peer)));
    assert_eq!((view.placements_verified, view.placements_failed), (3, 6));
}

/// The failing of one lot may close a part of the next one of the same peer: nothing is counted twice.
#[tokio::test]
async fn a_seed_that_leaves_with_two_lots_is_counted_once() {
    let world = World::start().await;
    let seeds = [world.seed("seed-1").await, world.seed("seed-2").await];
    let layers: Vec<String> = (0..30).map(|n| format!("layer-{n}")).collect();
    let layers: Vec<&str> = layers.iter().map(String::as_str).collect();
    world.registry.image(Some("v1"), &layers);
    let id = world.submit("v1", Scope::AllSeedPeers).await;
    let lots = seeds[0].take().await;
    seeds[0]
        .settle(crate::support::failed(&lots[0], "gone from the registry"))
        .await;
    pass(&world, 330, &[&seeds[0]]).await;
    let view = world.view(id).await;
    assert_eq!((view.state, view.placements_open), (PreheatState::Failed, 0));
    assert_eq!((view.placements_total, view.placements_failed), (64, 64));
}

#[tokio::test]
async fn without_a_seed_a_preheat_fails_after_the_limit() {
    let world = World::start().await;
    world.registry.image(Some("v1"), &["a"]);
    let id = world.submit("v1", Scope::SingleSeedPeer).await;
    let view = world.until_state(id, PreheatState::Resolving).await;
    insta::assert_snapshot!(view.reason.unwrap(), @"waits for a live seed peer in any cluster");
    world.advance(Duration::from_secs(299)).await;
    assert!(!world.view(id).await.state.has_ended());
    world.advance(Duration::from_secs(2)).await;
    let view = world.view(id).await;
    assert_eq!(view.state, PreheatState::Failed);
    let reason = view.reason.unwrap();
    insta::assert_snapshot!(reason, @"no seed peer of any cluster registered within 300 s; start one (`stoker token create --scope seed` says how) and check that it reaches the manager");
}

#[tokio::test]
async fn a_named_cluster_without_a_seed_is_named() {
    let world = World::start().await;
    world.seed("seed-1").await;
    world
        .peer("edge-node", Role::Node, "edge", uuid::Uuid::new_v4())
        .await;
    world.registry.image(Some("v1"), &["a"]);
    let mut request = world.request("v1", Scope::SingleSeedPeer);
    request.clusters = ClusterChoice::Names(vec!["edge".into()]);
    let id = world.submit_request(request).await;
    world.until_state(id, PreheatState::Resolving).await;
    world.advance(Duration::from_secs(301)).await;
    let reason = world.until_state(id, PreheatState::Failed).await.reason.unwrap();
    insta::assert_snapshot!(reason, @"no seed peer of cluster edge registered within 300 s; start one (`stoker token create --scope seed` says how) and check that it reaches the manager");
}

#[tokio::test]
async fn a_seed_that_registers_late_gets_the_waiting_work() {
    let world = World::start().await;
    world.registry.image(Some("v1"), &["a"]);
    let id = world.submit("v1", Scope::SingleSeedPeer).await;
    world.until_state(id, PreheatState::Resolving).await;
    let asked = world.registry.asked();
    let seed = world.seed("seed-1").await;
    world.advance(Duration::from_secs(3)).await;
    seed.verify_all(&seed.take().await).await;
    assert_eq!(world.view(id).await.state, PreheatState::Succeeded);
    assert_eq!(world.registry.asked(), asked, "the registry is not asked again");
}

#[tokio::test]
async fn the_deadline_ends_a_preheat_and_names_the_open_placements() {
    let limits = Limits {
        absent_limit: Duration::from_secs(10_000),
        ..Limits::default()
    };
    let world = World::with_limits(limits).await;
    let seed = world.seed("seed-1").await;
    world.registry.image(Some("v1"), &["a"]);
    let id = world.submit("v1", Scope::SingleSeedPeer).await;
    let lots = seed.take().await;
    seed.settle(crate::support::verified(&lots[0])[..2].to_vec())
        .await;
    world.advance(Duration::from_secs(1_700)).await;
    let view = world.view(id).await;
    assert_eq!((view.state, view.placements_failed), (PreheatState::Failed, 1));
    let reason = view.reason.unwrap();
    insta::assert_snapshot!(reason, @"not done within 1700 s: 1 of 3 placements are open: sha256:ca978112ca1b on seed-1");
}

#[tokio::test]
async fn a_restart_of_the_manager_withdraws_no_work() {
    let mut world = World::start().await;
    let seed = world.seed("seed-1").await;
    world.registry.image(Some("v1"), &["a"]);
    let id = world.submit("v1", Scope::SingleSeedPeer).await;
    let lots = seed.take().await;
    world.restart(Duration::from_secs(120)).await;
    let seed = seed.at(&world);
    // The next one is resolved by the new manager, whose rounds have begun by then.
    world.registry.image(Some("v2"), &["b"]);
    let next = world.submit("v2", Scope::SingleSeedPeer).await;
    world.until_state(next, PreheatState::Placing).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    seed.verify_all(&lots).await;
    assert_eq!(world.view(id).await.state, PreheatState::Succeeded);
    seed.verify_all(&seed.take().await).await;
    assert_eq!(world.view(next).await.state, PreheatState::Succeeded);
}

#[tokio::test]
async fn a_preheat_that_waits_to_be_resolved_survives_a_restart() {
    let mut world = World::start().await;
    let mut ids = Vec::new();
    for _ in 0..50 {
        ids.push(world.submit("v1", Scope::SingleSeedPeer).await);
    }
    world.registry.image(Some("v1"), &["a"]);
    world.restart(Duration::from_secs(1)).await;
    world.seed("seed-1").await;
    // Those that found no seed look again after this.
    world.clock.advance(2_100);
    for id in ids {
        // Those that were resolved before the image was there have failed; none is forgotten.
        world
            .until(id, |view| {
                matches!(view.state, PreheatState::Placing | PreheatState::Failed)
            })
            .await;
        world.clock.advance(100);
    }
}
