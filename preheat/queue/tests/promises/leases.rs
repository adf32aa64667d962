//! Leases: what is abandoned comes back, what is kept stays.

use queue::{HolderId, Urgency};
use sea_orm::ConnectionTrait;

use crate::world::{NOW, World, work};

async fn renew(world: &World, holder: HolderId, until_ms: i64) -> bool {
    world
        .db
        .write(Urgency::Urgent, move |txn| {
            Box::pin(queue::renew(txn, holder, until_ms))
        })
        .await
        .unwrap()
}

#[tokio::test]
async fn abandoned_work_comes_back_and_a_live_lease_keeps_its_work() {
    let world = World::new().await;
    let (dead, alive) = (
        world.holder("session", NOW + 10).await,
        world.holder("session", NOW + 10).await,
    );
    let (abandoned, kept) = (world.enqueue(work("a")).await, world.enqueue(work("b")).await);
    assert_eq!(world.claim(dead, 1, NOW).await[0].id, abandoned);
    assert_eq!(world.claim(alive, 1, NOW).await[0].id, kept);
    assert!(renew(&world, alive, NOW + 20).await);

    assert!(
        world.reclaim(NOW + 9).await.is_empty(),
        "before its time nothing is taken back"
    );
    assert_eq!(world.reclaim(NOW + 10).await, [dead]);
    assert!(!world.work(abandoned).await.unwrap().is_running);
    assert_eq!(world.work(kept).await.unwrap().holder, Some(alive));
    assert!(
        !renew(&world, dead, NOW + 99).await,
        "a removed holder cannot come back"
    );
    assert!(queue::holder_exists(world.db.reads(), alive).await.unwrap());
    assert!(!queue::holder_exists(world.db.reads(), dead).await.unwrap());
}

#[tokio::test]
async fn work_whose_holder_is_unknown_comes_back() {
    let world = World::new().await;
    let id = world.enqueue(work("a")).await;
    let holder = world.holder("session", NOW + 10).await;
    world.claim(holder, 1, NOW).await;
    world
        .db
        .connection_for_migrations()
        .execute_unprepared("DELETE FROM holders")
        .await
        .unwrap();
    assert!(world.reclaim(NOW).await.is_empty());
    assert!(!world.work(id).await.unwrap().is_running);
}

#[tokio::test]
async fn a_holder_that_ends_gives_its_work_back_at_once() {
    let world = World::new().await;
    let (ending, staying) = (
        world.holder("session", NOW + 10).await,
        world.holder("session", NOW + 10).await,
    );
    for _ in 0..3 {
        world.enqueue(work("a")).await;
    }
    let taken = world.claim(ending, 2, NOW).await;
    world.claim(staying, 1, NOW).await;
    let held = queue::held_by(world.db.reads(), ending).await.unwrap();
    assert_eq!(
        held.iter().map(|work| work.id).collect::<Vec<_>>(),
        [taken[0].id, taken[1].id]
    );

    let given_back = world
        .db
        .write(Urgency::Urgent, move |txn| {
            Box::pin(queue::end_holder(txn, ending))
        })
        .await
        .unwrap();
    assert_eq!(given_back, 2);
    assert_eq!(queue::held_by(world.db.reads(), staying).await.unwrap().len(), 1);
    assert_eq!(world.work(taken[0].id).await.unwrap().fence, taken[0].fence + 1);
    assert!(!world.complete(&taken[0]).await);
}

#[tokio::test]
async fn a_manager_that_starts_grants_sessions_a_lease_and_never_shortens_one() {
    let world = World::new().await;
    let (short, long) = (
        world.holder("session", NOW).await,
        world.holder("session", NOW + 50).await,
    );
    let manager = world.holder("manager", NOW).await;
    let granted = world
        .db
        .write(Urgency::Urgent, |txn| {
            Box::pin(queue::grant_all(txn, "session", NOW + 20))
        })
        .await;
    assert_eq!(granted.unwrap(), 1);
    assert_eq!(world.reclaim(NOW + 19).await, [manager]);
    assert_eq!(world.reclaim(NOW + 49).await, [short]);
    assert_eq!(world.reclaim(NOW + 50).await, [long]);
}
