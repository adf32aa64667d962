//! A message that is told again leads to no second preheat.

use futures_util::future::join_all;
use preheat::{ListQuery, PreheatRequest, Scope};

use crate::support::World;

fn told(world: &World, delivery: &str) -> PreheatRequest {
    PreheatRequest {
        delivery: Some(delivery.to_owned()),
        ..world.request("v1", Scope::SingleSeedPeer)
    }
}

async fn count(world: &World) -> usize {
    let query = ListQuery {
        limit: 100,
        ..ListQuery::default()
    };
    preheat::list(&world.preheater, query).await.unwrap().len()
}

#[tokio::test]
async fn the_same_message_is_answered_with_the_preheat_that_it_made() {
    let world = World::start().await;
    let first = world.submit_request(told(&world, "webhook:1")).await;
    assert_eq!(world.submit_request(told(&world, "webhook:1")).await, first);
    assert_ne!(world.submit_request(told(&world, "webhook:2")).await, first);
    // What no message asked for is never taken for a repetition.
    let plain = world.submit("v1", Scope::SingleSeedPeer).await;
    assert_ne!(world.submit("v1", Scope::SingleSeedPeer).await, plain);
    assert_eq!(count(&world).await, 4);
}

#[tokio::test]
async fn a_message_that_comes_many_times_at_once_makes_one_preheat() {
    let world = World::start().await;
    let tellings = (0..40).map(|n| world.submit_request(told(&world, &format!("notification:{}", n % 2))));
    let mut ids = join_all(tellings).await;
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 2);
    assert_eq!(count(&world).await, 2);
}
