use std::time::Duration;

use preheat::{PreheatRequest, PreheatState, Priority, Requester, Scope};

use crate::rows::count;
use crate::support::World;

fn delivered(world: &World, delivery: &str) -> PreheatRequest {
    PreheatRequest {
        delivery: Some(delivery.to_owned()),
        asked_by: Requester::Notification,
        ..world.request("v1", Scope::SingleSeedPeer)
    }
}

#[tokio::test]
async fn a_message_that_comes_again_makes_no_second_preheat() {
    let mut world = World::start().await;
    world.idle().await;
    let first = world.submit_request(delivered(&world, "event-1")).await;
    let again = world.submit_request(delivered(&world, "event-1")).await;
    let other = world.submit_request(delivered(&world, "event-2")).await;
    assert_eq!((again, other), (first, first + 1));
    assert_eq!(
        (count(&world, "preheats").await, count(&world, "work").await),
        (2, 2)
    );
}

#[tokio::test]
async fn a_message_that_comes_twice_at_once_makes_one_preheat() {
    let mut world = World::start().await;
    world.idle().await;
    let ask = || preheat::submit(&world.preheater, None, delivered(&world, "event-1"), None);
    let (a, b, c) = tokio::join!(ask(), ask(), ask());
    let ids = [a.unwrap(), b.unwrap(), c.unwrap()];
    assert_eq!(ids, [ids[0]; 3]);
    assert_eq!(
        (count(&world, "preheats").await, count(&world, "work").await),
        (1, 1)
    );
}

#[tokio::test]
async fn a_message_that_comes_after_the_end_is_answered_with_that() {
    let world = World::start().await;
    let seed = world.seed("seed-1").await;
    world.registry.image(Some("v1"), &["a"]);
    let id = world.submit_request(delivered(&world, "event-1")).await;
    seed.verify_all(&seed.take().await).await;
    assert_eq!(world.submit_request(delivered(&world, "event-1")).await, id);
    assert_eq!(world.view(id).await.state, PreheatState::Succeeded);
}

#[tokio::test]
async fn what_is_urgent_is_taken_first_by_manager_and_peer() {
    let mut world = World::start().await;
    let seed = world.seed("seed-1").await;
    world.idle().await;
    let mut ids = Vec::new();
    for (tag, priority) in [
        ("low", Priority::Low),
        ("usual", Priority::Normal),
        ("high", Priority::High),
    ] {
        world.registry.image(Some(tag), &[tag]);
        let request = PreheatRequest {
            priority,
            ..world.request(tag, Scope::SingleSeedPeer)
        };
        ids.push(world.submit_request(request).await);
    }
    world.restart(Duration::ZERO).await;
    let seed = seed.at(&world);
    for id in &ids {
        world.until_state(*id, PreheatState::Placing).await;
    }
    let taken: Vec<i64> = seed.take().await.iter().map(|lot| lot.preheat).collect();
    ids.reverse();
    assert_eq!(taken, ids);
}

#[tokio::test]
async fn a_policy_with_many_tags_does_not_keep_the_next_caller_waiting() {
    let mut world = World::start().await;
    let seed = world.seed("seed-1").await;
    world.idle().await;
    for n in 0..40 {
        let tag = format!("v{n}");
        world.registry.image(Some(&tag), &[&tag]);
        world.submit(&tag, Scope::SingleSeedPeer).await;
    }
    world.registry.image(Some("late"), &["late"]);
    let request = world.request("late", Scope::SingleSeedPeer);
    let late = preheat::submit(&world.preheater, Some("token-2"), request, None)
        .await
        .unwrap();
    world.restart(Duration::ZERO).await;
    let seed = seed.at(&world);
    world.until(41, |view| view.digest.is_some()).await;
    for id in 1..=40 {
        world.until(id, |view| view.digest.is_some()).await;
    }
    let taken: Vec<i64> = seed.take().await.iter().map(|lot| lot.preheat).collect();
    let place = taken.iter().position(|id| *id == late);
    assert!(place.is_some_and(|place| place < 10), "{taken:?}");
}

#[tokio::test]
async fn a_request_may_have_less_time_than_configured_and_never_more_than_a_day() {
    use PreheatState::{Failed, Waiting};
    let mut world = World::start().await;
    world.idle().await;
    let of = |limit: u64| PreheatRequest {
        time_limit: Some(Duration::from_secs(limit)),
        ..world.request("v1", Scope::SingleSeedPeer)
    };
    let short = world.submit_request(of(60)).await;
    let usual = world.submit_request(of(0)).await;
    let long = world.submit_request(of(1_000_000)).await;
    world.advance(Duration::from_secs(61)).await;
    let states = async || {
        let mut states = Vec::new();
        for id in [short, usual, long] {
            states.push(world.view(id).await.state);
        }
        states
    };
    assert_eq!(states().await, [Failed, Waiting, Waiting]);
    world.advance(Duration::from_secs(1_640)).await;
    assert_eq!(states().await, [Failed, Failed, Waiting]);
    world.advance(Duration::from_secs(24 * 3_600)).await;
    assert_eq!(states().await, [Failed, Failed, Failed]);
}
