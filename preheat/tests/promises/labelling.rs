//! Labels: kept by each preheat, found by each of them, gone with it.

use std::time::Duration;

use preheat::{Label, Labels, Limits, ListQuery, PreheatRequest, PreheatState, Scope, WebhookEvent};
use serde_json::json;

use crate::rows::count;
use crate::support::World;
use crate::telling;

fn labels(texts: &[&str]) -> Labels {
    Labels::new(read(texts)).expect("labels")
}

fn read(texts: &[&str]) -> Vec<Label> {
    texts.iter().map(|text| text.parse().expect("a label")).collect()
}

fn labelled(world: &World, tag: &str, texts: &[&str]) -> PreheatRequest {
    PreheatRequest {
        labels: labels(texts),
        ..world.request(tag, Scope::SingleSeedPeer)
    }
}

async fn found(world: &World, texts: &[&str]) -> Vec<i64> {
    let query = ListQuery {
        limit: 100,
        labels: read(texts),
        ..ListQuery::default()
    };
    let listed = preheat::list(&world.preheater, query).await.unwrap();
    listed.into_iter().map(|view| view.id).collect()
}

#[tokio::test]
async fn a_filter_finds_the_preheats_that_have_all_its_labels_exactly() {
    let mut world = World::start().await;
    world.idle().await;
    for texts in [
        &["team=a", "stage=prod"][..],
        &["team=a", "stage=test"],
        &["team=A"],
        &["team=a ", "x=%"],
        &[],
    ] {
        world.submit_request(labelled(&world, "v1", texts)).await;
    }
    assert_eq!(found(&world, &[]).await, [5, 4, 3, 2, 1]);
    assert_eq!(found(&world, &["team=a"]).await, [2, 1]);
    assert_eq!(found(&world, &["team=a", "stage=prod"]).await, [1]);
    assert_eq!(found(&world, &["team=a", "team=A"]).await, [] as [i64; 0]);
    assert_eq!(found(&world, &["team=A"]).await, [3], "capitals matter");
    assert_eq!(found(&world, &["team=a "]).await, [4], "spaces matter");
    assert_eq!(found(&world, &["x=%"]).await, [4]);
    assert!(found(&world, &["team="]).await.is_empty());
}

#[tokio::test]
async fn one_that_follows_keeps_its_own_labels() {
    let world = World::start().await;
    let seed = world.seed("seed-1").await;
    world.registry.image(Some("v1"), &["a"]);
    let leader = world.submit_request(labelled(&world, "v1", &["team=a"])).await;
    world.until_state(leader, PreheatState::Placing).await;
    let follower = world.submit_request(labelled(&world, "v1", &["team=b"])).await;
    let view = world.until_state(follower, PreheatState::Placing).await;
    assert_eq!((view.follows, view.labels), (Some(leader), labels(&["team=b"])));
    seed.verify_all(&seed.take().await).await;
    let ended = world.until_state(follower, PreheatState::Succeeded).await;
    assert_eq!(ended.labels, labels(&["team=b"]));
    assert_eq!(world.view(leader).await.labels, labels(&["team=a"]));
}

#[tokio::test]
async fn a_retry_keeps_the_labels() {
    let world = World::start().await;
    world.seed("seed-1").await;
    let id = world
        .submit_request(labelled(&world, "missing", &["team=a"]))
        .await;
    world.until_state(id, PreheatState::Failed).await;
    let retried = preheat::retry(&world.preheater, id, None, "a test")
        .await
        .unwrap();
    assert_eq!(retried.labels, labels(&["team=a"]));
    assert_eq!(found(&world, &["team=a"]).await, [id]);
}

#[tokio::test]
async fn labels_go_with_their_preheat() {
    let keep = Duration::from_secs(3_600);
    let mut world = World::with_limits(Limits {
        keep_ended: Some(keep),
        ..Limits::default()
    })
    .await;
    world.seed("seed-1").await;
    let id = world
        .submit_request(labelled(&world, "missing", &["team=a", "x=y"]))
        .await;
    world.until_state(id, PreheatState::Failed).await;
    assert_eq!(count(&world, "preheat_labels").await, 2);
    world.idle().await;
    world.advance(keep * 2).await;
    assert_eq!(count(&world, "preheats").await, 0);
    assert_eq!(count(&world, "preheat_labels").await, 0);
}

#[tokio::test]
async fn a_receiver_gets_the_labels() {
    let receiver = telling::Receiver::start(0).await;
    let world = telling::world(&receiver, &[WebhookEvent::Ended]).await;
    world.seed("seed-1").await;
    let id = world
        .submit_request(labelled(&world, "missing", &["team=a"]))
        .await;
    world.until_state(id, PreheatState::Failed).await;
    receiver.until_calls(&world, 1).await;
    assert_eq!(receiver.told()[0].1["labels"], json!({"team": "a"}));
}
