//! Work that is moved in numbers.

use queue::{NewWork, PARKED, Urgency, WorkFilter};

use crate::world::{NOW, World, work};

fn parked(kind: &str, lane: &str, group: &str) -> NewWork {
    let (lane, group) = (lane.to_owned(), Some(group.to_owned()));
    NewWork {
        run_at_ms: PARKED,
        lane,
        group,
        ..work(kind)
    }
}

async fn unpark(world: &World, kind: Option<&'static str>, lanes: Option<Vec<String>>) -> Vec<String> {
    let entry = async move |txn: &sea_orm::DatabaseTransaction| {
        queue::unpark(
            txn,
            "preheat:7",
            WorkFilter {
                kind,
                lanes: lanes.as_deref(),
            },
            NOW,
        )
        .await
    };
    let mut lanes = world
        .db
        .write(Urgency::Urgent, move |txn| {
            Box::pin(async move { entry(txn).await })
        })
        .await
        .unwrap();
    lanes.sort();
    lanes
}

#[tokio::test]
async fn parked_work_waits_until_it_is_unparked() {
    let world = World::new().await;
    for (kind, lane, group) in [
        ("place", "a", "preheat:7"),
        ("place", "b", "preheat:7"),
        ("other", "c", "preheat:7"),
        ("place", "d", "preheat:8"),
    ] {
        world.enqueue(parked(kind, lane, group)).await;
    }
    let holder = world.holder("session", NOW + 10).await;
    assert!(
        queue::claim(&world.db, "a", holder, 9, NOW)
            .await
            .unwrap()
            .is_empty()
    );

    assert_eq!(
        unpark(&world, Some("place"), Some(vec!["a".to_owned(), "c".to_owned()])).await,
        ["a"]
    );
    assert_eq!(
        queue::claim(&world.db, "a", holder, 9, NOW).await.unwrap().len(),
        1
    );
    assert_eq!(unpark(&world, Some("place"), None).await, ["b"]);
    assert_eq!(unpark(&world, None, None).await, ["c"]);
    assert!(
        queue::claim(&world.db, "d", holder, 9, NOW)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn waiting_work_moves_to_another_lane_and_running_work_stays() {
    let world = World::new().await;
    let id = world.enqueue(work("place")).await;
    let moved = |lane: &'static str| {
        world.db.write(Urgency::Urgent, move |txn| {
            Box::pin(queue::move_lane(txn, id, lane))
        })
    };
    assert!(moved("peer:b").await.unwrap());
    let holder = world.holder("session", NOW + 10).await;
    assert_eq!(
        queue::claim(&world.db, "peer:b", holder, 1, NOW)
            .await
            .unwrap()
            .len(),
        1
    );
    assert!(!moved("peer:c").await.unwrap());
}

#[tokio::test]
async fn a_removed_group_leaves_nothing_to_settle() {
    let world = World::new().await;
    let group = || Some("preheat:7".to_owned());
    world
        .enqueue(NewWork {
            group: group(),
            ..work("a")
        })
        .await;
    world
        .enqueue(NewWork {
            group: group(),
            ..work("b")
        })
        .await;
    let other = world.enqueue(work("c")).await;
    let holder = world.holder("manager", NOW + 10).await;
    let running = world.claim(holder, 1, NOW).await.remove(0);
    let removed = world
        .db
        .write(Urgency::Urgent, |txn| {
            Box::pin(queue::remove_group(txn, "preheat:7"))
        })
        .await;
    assert_eq!(removed.unwrap(), 2);
    assert!(!world.complete(&running).await);
    assert!(world.work(other).await.is_some());
}

#[tokio::test]
async fn waiting_work_is_counted_by_lane() {
    let world = World::new().await;
    for lane in ["a", "a", "b"] {
        world
            .enqueue(NewWork {
                lane: lane.to_owned(),
                ..work("place")
            })
            .await;
    }
    let holder = world.holder("session", NOW + 10).await;
    queue::claim(&world.db, "b", holder, 1, NOW).await.unwrap();
    assert_eq!(
        queue::waiting_by_lane(world.db.reads()).await.unwrap(),
        [("a".to_owned(), 2)]
    );
}
