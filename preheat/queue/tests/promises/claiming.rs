//! Claims and settlements.

use std::collections::HashSet;

use queue::{ClaimError, NewWork, Urgency, WriteError};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::world::{LANE, NOW, World, work};

const LATER: i64 = NOW + 60_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn claims_are_never_doubled() {
    let world = World::new().await;
    for _ in 0..200 {
        world.enqueue(work("resolve")).await;
    }
    let mut claimers = JoinSet::new();
    for n in 0..8 {
        let (db, holder) = (world.db.clone(), world.holder("manager", LATER).await);
        claimers.spawn(async move {
            let mut mine = Vec::new();
            let mut empty = 0;
            while empty < 20 {
                let claimed = queue::claim(&db, LANE, holder, 1 + n % 3, NOW).await.unwrap();
                empty = if claimed.is_empty() { empty + 1 } else { 0 };
                mine.extend(claimed.into_iter().map(|work| work.id));
            }
            mine
        });
    }
    let claimed: Vec<i64> = claimers.join_all().await.into_iter().flatten().collect();
    let different: HashSet<i64> = claimed.iter().copied().collect();
    assert_eq!((claimed.len(), different.len()), (200, 200));
}

#[tokio::test]
async fn work_is_claimed_by_priority_and_then_by_age() {
    let world = World::new().await;
    for (kind, priority, run_at_ms) in [
        ("first", 0, NOW),
        ("second", 0, NOW - 5),
        ("important", 9, NOW),
        ("whenever", -9, NOW - 99),
    ] {
        world
            .enqueue(NewWork {
                priority,
                run_at_ms,
                ..work(kind)
            })
            .await;
    }
    let holder = world.holder("manager", LATER).await;
    let order: Vec<String> = world
        .claim(holder, 10, NOW)
        .await
        .into_iter()
        .map(|work| work.kind)
        .collect();
    assert_eq!(order, ["important", "first", "second", "whenever"]);
}

#[tokio::test]
async fn only_due_work_of_the_lane_is_claimed() {
    let world = World::new().await;
    world
        .enqueue(NewWork {
            run_at_ms: NOW + 1,
            ..work("not yet")
        })
        .await;
    world
        .enqueue(NewWork {
            lane: "another".to_owned(),
            ..work("elsewhere")
        })
        .await;
    let holder = world.holder("manager", LATER).await;
    assert!(world.claim(holder, 10, NOW).await.is_empty());
    assert_eq!(world.claim(holder, 10, NOW + 1).await.len(), 1);
}

#[tokio::test]
async fn a_holder_without_a_live_lease_claims_nothing() {
    let world = World::new().await;
    let id = world.enqueue(work("resolve")).await;
    let expired = world.holder("manager", NOW).await;
    for holder in [expired, Uuid::now_v7()] {
        let refused = queue::claim(&world.db, LANE, holder, 1, NOW).await;
        assert!(matches!(
            refused,
            Err(WriteError::Refused(ClaimError::HolderEnded))
        ));
    }
    assert!(!world.work(id).await.unwrap().is_running);
}

#[tokio::test]
async fn a_settlement_with_an_old_fence_changes_nothing() {
    let world = World::new().await;
    let id = world.enqueue(work("resolve")).await;
    let (first, second) = (
        world.holder("session", NOW + 10).await,
        world.holder("session", LATER).await,
    );
    let old = world.claim(first, 1, NOW).await.remove(0);
    world.reclaim(NOW + 10).await;
    let new = world.claim(second, 1, NOW + 10).await.remove(0);
    assert!(new.fence > old.fence);

    assert!(!world.complete(&old).await);
    let (id_, fence) = (old.id, old.fence);
    let changed = world.db.write(Urgency::Urgent, move |txn| {
        Box::pin(async move {
            // Not even under the name of the one who has it now.
            let retried = queue::retry_later(txn, id_, fence, second, NOW, "no").await?;
            let released = queue::release(txn, id_, fence, second, NOW).await?;
            Ok::<_, sea_orm::DbErr>(retried || released || queue::holds(txn, id_, fence, second).await?)
        })
    });
    assert!(!changed.await.unwrap());
    assert_eq!(world.work(id).await.unwrap().holder, Some(second));
    assert!(world.complete(&new).await);
    assert!(world.work(id).await.is_none());
    assert!(
        !world.complete(&new).await,
        "the second time there is nothing to complete"
    );
}

#[tokio::test]
async fn retried_work_keeps_its_error_and_counts_its_attempts() {
    let world = World::new().await;
    world.enqueue(work("resolve")).await;
    let holder = world.holder("manager", LATER).await;
    let first = world.claim(holder, 1, NOW).await.remove(0);
    let (id, fence) = (first.id, first.fence);
    world
        .db
        .write(Urgency::Urgent, move |txn| {
            Box::pin(queue::retry_later(
                txn,
                id,
                fence,
                holder,
                NOW + 5,
                "the registry was silent",
            ))
        })
        .await
        .unwrap();
    assert!(world.claim(holder, 1, NOW).await.is_empty());
    let second = world.claim(holder, 1, NOW + 5).await.remove(0);
    assert_eq!((first.attempt, second.attempt), (1, 2));
    assert_eq!(second.last_error.as_deref(), Some("the registry was silent"));

    let fence = second.fence;
    world
        .db
        .write(Urgency::Urgent, move |txn| {
            Box::pin(queue::release(txn, id, fence, holder, NOW))
        })
        .await
        .unwrap();
    assert_eq!(
        world.claim(holder, 1, NOW).await.remove(0).attempt,
        2,
        "a release is not an attempt"
    );
}
