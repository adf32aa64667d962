//! Limits of bandwidth: who is told what.

use std::collections::BTreeMap;

use preheat::{ClusterLimits, ClusterSettings, LimitsError, cluster_limits, set_cluster_limits};
use wire::{BandwidthLimits, Rate, TakeRequest};

use crate::support::{Peer, World};

const MIB: u64 = 1 << 20;

fn budget(mib: u64) -> ClusterLimits {
    ClusterLimits {
        peer_incoming: Some(Rate::at_least(mib * MIB)),
        peer_outgoing: None,
        origins: BTreeMap::from([("registry.lan".parse().unwrap(), Rate::at_least(mib * MIB))]),
    }
}

async fn told(world: &World, peer: &Peer) -> BandwidthLimits {
    let request = TakeRequest {
        at_most: 0,
        wait_ms: 0,
        neighbourhood_version: String::new(),
        working_on: Vec::new(),
        images: None,
        removals: 0,
    };
    let answer = preheat::take(&world.preheater, peer.session(), request)
        .await
        .unwrap();
    answer.neighbourhood.unwrap().limits
}

fn each_seed(told: &BandwidthLimits) -> u64 {
    told.origins.first().unwrap().each_seed.bytes_per_second() / MIB
}

#[tokio::test]
async fn a_cluster_s_budget_is_divided_anew_when_a_seed_comes() {
    let settings = ClusterSettings {
        limits: budget(32),
        ..ClusterSettings::default()
    };
    let world = World::with_cluster(settings).await;
    let first = world.seed("seed-1").await;
    let alone = told(&world, &first).await;
    assert_eq!(
        (each_seed(&alone), alone.peer_incoming),
        (32, Some(Rate::at_least(32 * MIB)))
    );
    let second = world.seed("seed-2").await;
    assert_eq!(each_seed(&told(&world, &first).await), 16);
    assert_eq!(each_seed(&told(&world, &second).await), 16);
}

#[tokio::test]
async fn what_is_said_at_run_time_holds_until_it_is_taken_back() {
    let settings = ClusterSettings {
        limits: budget(32),
        ..ClusterSettings::default()
    };
    let world = World::with_cluster(settings).await;
    let seed = world.seed("seed-1").await;
    let version = seed.neighbourhood_version().await.unwrap();
    let waits = tokio::join!(
        seed.try_take(10_000),
        set_cluster_limits(&world.preheater, "default", Some(budget(8)))
    );
    let heard = waits
        .0
        .unwrap()
        .neighbourhood
        .expect("a peer that waits is told at once");
    assert_ne!(heard.version, version);
    assert_eq!(each_seed(&heard.limits), 8);
    assert!(!waits.1.unwrap().as_configured);

    let nothing = set_cluster_limits(&world.preheater, "default", Some(ClusterLimits::default()));
    assert_eq!(nothing.await.unwrap().limits, ClusterLimits::default());
    assert_eq!(told(&world, &seed).await, BandwidthLimits::default());

    let again = set_cluster_limits(&world.preheater, "default", None)
        .await
        .unwrap();
    assert!(again.as_configured);
    assert_eq!(again.limits, budget(32));
    assert_eq!(cluster_limits(&world.preheater, "default").await.unwrap(), again);
    assert_eq!(each_seed(&told(&world, &seed).await), 32);
}

#[tokio::test]
async fn a_cluster_that_is_not_there_has_no_limits() {
    let world = World::start().await;
    let found = cluster_limits(&world.preheater, "nowhere").await;
    assert!(matches!(found, Err(LimitsError::UnknownCluster(name)) if name == "nowhere"));
}
