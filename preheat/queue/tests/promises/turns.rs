//! Those who want the same lane take turns.

use std::sync::Arc;

use parking_lot::Mutex;
use queue::{Claimed, HolderId, NewWork, PARKED, Urgency, WorkFilter};
use sea_orm::{ConnectionTrait, Statement};

use crate::counting::Counting;
use crate::world::{LANE, NOW, World, work};

const LATER: i64 = NOW + 60_000;

fn of(key: &str) -> NewWork {
    NewWork {
        fair_key: Some(key.to_owned()),
        ..work(key)
    }
}

async fn put_in(world: &World, all: Vec<NewWork>) {
    world
        .db
        .write(Urgency::Urgent, move |txn| {
            Box::pin(async move { queue::enqueue_all(txn, &all, NOW).await })
        })
        .await
        .unwrap();
}

/// Kinds in the order in which they are claimed, one at a time.
async fn order(world: &World, lane: &str, holder: HolderId, at_most: usize) -> Vec<String> {
    let mut kinds = Vec::new();
    for _ in 0..at_most {
        let claimed: Vec<Claimed> = queue::claim(&world.db, lane, holder, 1, NOW).await.unwrap();
        kinds.extend(claimed.into_iter().map(|work| work.kind));
    }
    kinds
}

#[tokio::test]
async fn a_new_caller_is_among_the_next_after_a_thousand_items_of_another() {
    let world = World::new().await;
    put_in(&world, vec![of("policy"); 1_000]).await;
    world.enqueue(of("ana")).await;
    let holder = world.holder("manager", LATER).await;
    let order = order(&world, LANE, holder, 4).await;
    let place = order.iter().position(|kind| kind == "ana");
    assert!(place.is_some_and(|place| place < 3), "{order:?}");
}

#[tokio::test]
async fn a_new_caller_is_among_the_next_while_all_items_run() {
    let world = World::new().await;
    put_in(&world, vec![of("policy"); 200]).await;
    let holder = world.holder("manager", LATER).await;
    assert_eq!(world.claim(holder, 120, NOW).await.len(), 120);
    put_in(&world, vec![of("ana"), of("ana")]).await;
    let middle = order(&world, LANE, holder, 5).await;
    assert_eq!(
        middle.iter().filter(|kind| *kind == "ana").count(),
        2,
        "{middle:?}"
    );
    assert_eq!(world.claim(holder, 120, NOW).await.len(), 77, "all of it");
    put_in(&world, vec![of("ben"); 50]).await;
    world.enqueue(of("policy")).await;
    let end = order(&world, LANE, holder, 3).await;
    assert!(
        end.contains(&"policy".to_owned()),
        "finished work delays no caller: {end:?}"
    );
}

#[tokio::test]
async fn turns_are_taken_within_a_priority() {
    let world = World::new().await;
    put_in(&world, vec![of("policy"); 10]).await;
    let low = NewWork {
        priority: -1,
        ..of("low")
    };
    let high = NewWork {
        priority: 1,
        ..of("policy")
    };
    put_in(&world, vec![low, high]).await;
    let holder = world.holder("manager", LATER).await;
    let claimed = world.claim(holder, 20, NOW).await;
    let kinds: Vec<&str> = claimed.iter().map(|work| work.kind.as_str()).collect();
    assert_eq!((kinds.len(), kinds.last()), (12, Some(&"low")));
    let ids: Vec<i64> = claimed.iter().map(|work| work.id).collect();
    assert_eq!(
        ids[0], 12,
        "the important one of the same key goes first: {ids:?}"
    );
}

#[tokio::test]
async fn parked_work_takes_its_turn_from_when_it_is_unparked() {
    let world = World::new().await;
    let parked = NewWork {
        run_at_ms: PARKED,
        group: Some("preheat:1".to_owned()),
        ..of("policy")
    };
    put_in(&world, vec![parked; 50]).await;
    put_in(&world, vec![of("ana"); 3]).await;
    world
        .db
        .write(Urgency::Urgent, |txn| {
            Box::pin(async move { queue::unpark(txn, "preheat:1", WorkFilter::default(), NOW).await })
        })
        .await
        .unwrap();
    world.enqueue(of("ben")).await;
    let holder = world.holder("session", LATER).await;
    let order = order(&world, LANE, holder, 8).await;
    for (key, count) in [("ana", 3), ("ben", 1)] {
        assert_eq!(
            order.iter().filter(|kind| *kind == key).count(),
            count,
            "{order:?}"
        );
    }
}

#[tokio::test]
async fn lanes_have_turns_of_their_own() {
    let world = World::new().await;
    put_in(&world, vec![of("policy"); 30]).await;
    let elsewhere = |key: &str| NewWork {
        lane: "peer:1".to_owned(),
        ..of(key)
    };
    put_in(
        &world,
        vec![elsewhere("policy"), elsewhere("ana"), elsewhere("policy")],
    )
    .await;
    let holder = world.holder("session", LATER).await;
    assert_eq!(
        order(&world, "peer:1", holder, 3).await,
        ["policy", "ana", "policy"]
    );
}

/// Returns the statements that enqueue these items.
async fn statements(world: &World, all: Vec<NewWork>) -> Vec<Statement> {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&asked);
    world
        .db
        .write(Urgency::Urgent, move |txn| {
            Box::pin(async move {
                let txn = Counting { txn, asked: noted };
                queue::enqueue_all(&txn, &all, NOW).await
            })
        })
        .await
        .unwrap();
    asked.lock().clone()
}

#[tokio::test]
async fn a_place_in_line_costs_one_statement_for_many_callers_in_a_long_lane() {
    let world = World::new().await;
    put_in(&world, vec![of("policy"); 2_000]).await;
    let callers: Vec<NewWork> = (0..60).map(|n| of(&format!("caller-{n}"))).collect();
    let asked = statements(&world, callers).await;
    assert_eq!(asked.len(), 2, "one select, one insert: {asked:?}");
    if !world.is_sqlite() {
        return;
    }
    let plan = Statement {
        sql: format!("EXPLAIN QUERY PLAN {}", asked[0].sql),
        ..asked[0].clone()
    };
    let rows = world.db.reads().query_all_raw(plan).await.unwrap();
    let steps: Vec<String> = rows
        .iter()
        .map(|row| row.try_get("", "detail").unwrap())
        .collect();
    assert_eq!(
        steps
            .iter()
            .filter(|step| step.contains("USING COVERING INDEX"))
            .count(),
        62,
        "{steps:?}"
    );
    let is_slow = |step: &&String| step.contains("SCAN work") || step.contains("TEMP B-TREE");
    assert_eq!(steps.iter().find(is_slow), None);
}
