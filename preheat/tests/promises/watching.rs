use futures_util::StreamExt;
use preheat::{PreheatState, Scope};

use crate::support::World;

#[tokio::test]
async fn a_watcher_sees_each_change_and_then_the_end() {
    let world = World::start().await;
    let mut watched = Box::pin(preheat::watch(&world.preheater, 1));
    assert!(watched.next().await.is_none(), "there is no such preheat");
    let seed = world.seed("seed-1").await;
    world.registry.image(Some("v1"), &["a"]);
    let id = world.submit("v1", Scope::SingleSeedPeer).await;
    let lots = seed.take().await;
    let mut watched = Box::pin(preheat::watch(&world.preheater, id));
    let first = watched.next().await.unwrap();
    assert_eq!((first.state, first.placements_open), (PreheatState::Placing, 3));
    let mut outcomes = crate::support::verified(&lots[0]);
    let last = outcomes.split_off(2);
    seed.settle(outcomes).await;
    let second = watched.next().await.unwrap();
    assert_eq!((second.state, second.placements_open), (PreheatState::Placing, 1));
    seed.settle(last).await;
    let end = watched.next().await.unwrap();
    assert_eq!(end.state, PreheatState::Succeeded);
    assert!(watched.next().await.is_none(), "nothing comes after the end");
}
