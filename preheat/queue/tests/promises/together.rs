//! Like writes made as one entry.

use std::collections::BTreeSet;

use futures_util::future::BoxFuture;
use queue::{GroupedWrite, WriteError, work_of_group};
use sea_orm::{DatabaseTransaction, DbErr};
use tokio::task::JoinSet;

use crate::world::{NOW, World, until, work};

const CALLERS: usize = 40;

/// Enqueues one work item for each name, and returns for each the size of its group.
fn enqueue_all(txn: &DatabaseTransaction, names: Vec<String>) -> BoxFuture<'_, Result<Vec<usize>, DbErr>> {
    Box::pin(async move {
        if names.iter().any(|name| name == "poison") {
            return Err(DbErr::Custom("poison".to_owned()));
        }
        let group = Some("together".to_owned());
        let all: Vec<_> = names
            .iter()
            .map(|name| queue::NewWork {
                group: group.clone(),
                ..work(name)
            })
            .collect();
        queue::enqueue_all(txn, &all, NOW).await?;
        Ok(vec![names.len(); names.len()])
    })
}

async fn written(world: &World) -> BTreeSet<String> {
    let all = work_of_group(world.db.reads(), "together").await.unwrap();
    all.into_iter().map(|work| work.kind).collect()
}

#[tokio::test]
async fn callers_of_one_moment_share_one_entry_and_each_gets_its_result() {
    let world = World::new().await;
    let together = GroupedWrite::new(enqueue_all);
    let hold = world.hold_writer().await;
    let mut callers = JoinSet::new();
    for n in 0..CALLERS {
        let (together, db) = (together.clone(), world.db.clone());
        callers.spawn(async move { together.write(&db, n.to_string()).await });
    }
    world.until_queued(1).await;
    tokio::task::yield_now().await;
    hold.let_go().await;
    let mut largest = 0;
    while let Some(answer) = callers.join_next().await {
        largest = largest.max(answer.unwrap().unwrap());
    }
    assert!(largest > 1, "each caller was written alone");
    assert_eq!(
        written(&world).await,
        (0..CALLERS).map(|n| n.to_string()).collect()
    );
}

#[tokio::test]
async fn a_failed_entry_fails_for_each_of_its_callers_and_leaves_nothing() {
    let world = World::new().await;
    let together = GroupedWrite::new(enqueue_all);
    let hold = world.hold_writer().await;
    let mut callers = JoinSet::new();
    for name in ["good", "poison"] {
        let (together, db) = (together.clone(), world.db.clone());
        callers.spawn(async move { together.write(&db, name.to_owned()).await });
        world.until_queued(1).await;
        tokio::task::yield_now().await;
    }
    hold.let_go().await;
    while let Some(answer) = callers.join_next().await {
        assert!(matches!(answer.unwrap(), Err(WriteError::Database(_))));
    }
    assert_eq!(written(&world).await, BTreeSet::new());
    assert_eq!(together.write(&world.db, "later".to_owned()).await.unwrap(), 1);
}

#[tokio::test]
async fn the_write_of_a_cancelled_caller_is_committed() {
    let world = World::new().await;
    let together = GroupedWrite::new(enqueue_all);
    let hold = world.hold_writer().await;
    let mut caller = JoinSet::new();
    let (joined, db) = (together.clone(), world.db.clone());
    caller.spawn(async move { joined.write(&db, "gone".to_owned()).await });
    world.until_queued(1).await;
    caller.shutdown().await;
    hold.let_go().await;
    until(async || written(&world).await.contains("gone")).await;
}
