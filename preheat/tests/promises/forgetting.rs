use std::time::Duration;

use preheat::{Limits, PreheatState, Scope};
use queue::Clock as _;
use uuid::Uuid;
use wire::Role;

use crate::rows::{count, execute, number};
use crate::support::World;

const DAY: Duration = Duration::from_secs(24 * 3_600);

async fn keeping(keep_ended: Option<Duration>) -> World {
    World::with_limits(Limits {
        keep_ended,
        ..Limits::default()
    })
    .await
}

/// A seed of the same name takes the place of the one before.
async fn ended_one(world: &World, tag: &str) -> i64 {
    let seed = world
        .peer("seed-1", Role::Seed, "default", Uuid::from_u128(1))
        .await;
    world.registry.image(Some(tag), &[tag]);
    let id = world.submit(tag, Scope::SingleSeedPeer).await;
    seed.verify_all(&seed.take().await).await;
    assert_eq!(world.view(id).await.state, PreheatState::Succeeded);
    id
}

#[tokio::test]
async fn preheats_that_ended_long_ago_go_with_all_that_they_had() {
    let mut world = keeping(Some(DAY)).await;
    let old = ended_one(&world, "v1").await;
    world.clock.advance(12 * 3_600_000);
    let young = ended_one(&world, "v2").await;
    world.idle().await;
    let open = world.submit("v1", Scope::SingleSeedPeer).await;
    world.advance(DAY / 2).await;
    let there = async |id| preheat::get(&world.preheater, id).await.unwrap().is_some();
    assert!(!there(old).await && there(young).await && there(open).await);
    for table in ["objects", "placements"] {
        assert_eq!(count(&world, table).await, 3, "{table}: those of the young one");
    }
}

#[tokio::test]
async fn a_leader_is_kept_until_its_followers_are_gone() {
    let mut world = keeping(Some(DAY)).await;
    let leader = ended_one(&world, "v1").await;
    let follower = ended_one(&world, "v2").await;
    world.idle().await;
    execute(
        &world,
        &format!("UPDATE preheats SET follows = {leader}, finished_ms = finished_ms + 3600000 WHERE id = {follower}"),
    )
    .await;
    let there = async |id| preheat::get(&world.preheater, id).await.unwrap().is_some();
    world.advance(DAY + Duration::from_secs(60)).await;
    assert!(there(leader).await && there(follower).await);
    world.advance(Duration::from_secs(3_600)).await;
    world.advance(Duration::ZERO).await;
    assert!(!there(leader).await && !there(follower).await);
}

#[tokio::test]
async fn many_placements_are_forgotten_in_several_rounds() {
    let mut world = keeping(Some(DAY)).await;
    let id = ended_one(&world, "v1").await;
    world.idle().await;
    let more = "INSERT INTO placements (preheat_id, cluster_id, peer_id, work_id, digest, state, \
        bytes_from_registry, bytes_from_peers, peer_left) \
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500) \
        SELECT 1, 1, 'p', 1, 'd', 'verified', 0, 0, 0 FROM n";
    execute(&world, more).await;
    world.advance(DAY * 2).await;
    assert!(preheat::get(&world.preheater, id).await.unwrap().is_some());
    assert_eq!(count(&world, "placements").await, 503);
    world.advance(Duration::ZERO).await;
    assert!(preheat::get(&world.preheater, id).await.unwrap().is_none());
    assert_eq!(count(&world, "placements").await, 0);
}

#[tokio::test]
async fn a_registry_that_no_preheat_names_for_90_days_is_forgotten() {
    let world = keeping(None).await;
    ended_one(&world, "v1").await;
    let plain = "SELECT CAST(plain_http AS INTEGER) AS n FROM seen_registries";
    let before = number(&world, plain).await;
    world.advance(DAY * 80).await;
    ended_one(&world, "v2").await;
    world.advance(DAY * 80).await;
    assert_eq!(count(&world, "seen_registries").await, 1, "it was named again");
    assert_eq!(number(&world, plain).await, before, "as it was");
    world.advance(DAY * 10).await;
    assert_eq!(count(&world, "seen_registries").await, 0);
}

#[tokio::test]
async fn registries_of_an_older_program_are_kept_from_now_on() {
    let world = keeping(None).await;
    execute(
        &world,
        "INSERT INTO seen_registries (name, plain_http) VALUES ('old.lan', 0)",
    )
    .await;
    world.advance(DAY * 89).await;
    world.advance(DAY * 89).await;
    assert_eq!(count(&world, "seen_registries").await, 1);
    world.advance(DAY * 2).await;
    assert_eq!(count(&world, "seen_registries").await, 0);
}

#[tokio::test]
async fn of_very_many_registries_those_named_longest_ago_are_forgotten() {
    let world = keeping(None).await;
    let now = world.clock.now_ms();
    let many = format!(
        "INSERT INTO seen_registries (name, plain_http, named_ms) \
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500) \
        SELECT 'r' || i || '.lan', 0, {now} + i FROM n"
    );
    execute(&world, &many).await;
    let seed = world
        .peer("seed-1", Role::Seed, "default", Uuid::from_u128(1))
        .await;
    let told = &seed.welcome.neighbourhood.registries;
    let is_told = |name: &str| told.iter().any(|one| one.name == name);
    assert!(is_told("r1500.lan") && is_told("r501.lan") && !is_told("r500.lan"));
    world.advance(Duration::ZERO).await;
    assert_eq!(count(&world, "seen_registries").await, 1_000);
    assert_eq!(count(&world, "seen_registries WHERE name = 'r500.lan'").await, 0);
}

#[tokio::test]
async fn nothing_is_forgotten_where_all_is_to_be_kept() {
    let world = keeping(None).await;
    let id = ended_one(&world, "v1").await;
    world.advance(DAY * 3_650).await;
    assert_eq!(world.view(id).await.state, PreheatState::Succeeded);
}
