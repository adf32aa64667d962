//! The writer: groups, failures that stay alone, callers that go away, order, bounds.

use std::sync::Arc;

use parking_lot::Mutex;
use queue::{Database, NewWork, OpenError, Urgency, WriteError};
use sea_orm::{ConnectionTrait, DbErr};
use tokio::task::JoinSet;

use crate::world::{NOW, World, until, within_reason, work};

#[derive(Debug, thiserror::Error)]
enum No {
    #[error("no")]
    No,
    #[error(transparent)]
    Database(#[from] DbErr),
}

/// Writes the work item, and then ends as given.
async fn write_and(db: Database, new: NewWork, fate: Fate) -> Result<i64, WriteError<No>> {
    db.write(Urgency::Urgent, move |txn| {
        Box::pin(async move {
            let id = queue::enqueue(txn, &new, NOW).await?;
            match fate {
                Fate::Succeed => Ok(id),
                Fate::Fail => Err(No::No),
                Fate::Panic => panic!("on purpose"),
                Fate::BreakAStatement => {
                    txn.execute_unprepared("INSERT INTO no_such_table VALUES (1)")
                        .await?;
                    Ok(id)
                }
            }
        })
    })
    .await
}

#[derive(Clone, Copy)]
enum Fate {
    Succeed,
    Fail,
    Panic,
    BreakAStatement,
}

async fn kinds(world: &World) -> Vec<String> {
    let all = queue::work_of_group(world.db.reads(), "group").await.unwrap();
    all.into_iter().map(|work| work.kind).collect()
}

fn of_group(kind: &str) -> NewWork {
    NewWork {
        group: Some("group".to_owned()),
        ..work(kind)
    }
}

#[tokio::test]
async fn a_failed_entry_does_not_fail_its_batch() {
    let world = World::new().await;
    let hold = world.hold_writer().await;
    let mut callers = JoinSet::new();
    let fates = [
        Fate::Fail,
        Fate::Succeed,
        Fate::Fail,
        Fate::BreakAStatement,
        Fate::Panic,
        Fate::Succeed,
    ];
    for (n, fate) in fates.into_iter().enumerate() {
        let (db, new) = (world.db.clone(), of_group(&n.to_string()));
        callers.spawn(async move { (n, write_and(db, new, fate).await) });
        world.until_queued(n + 1).await;
    }
    hold.let_go().await;
    let mut answers = callers.join_all().await;
    answers.sort_by_key(|(n, _)| *n);
    let answers: Vec<_> = answers.into_iter().map(|(_, answer)| answer).collect();

    assert!(answers[1].is_ok() && answers[5].is_ok());
    assert!(matches!(answers[0], Err(WriteError::Refused(No::No))));
    assert!(matches!(answers[2], Err(WriteError::Refused(No::No))));
    assert!(matches!(answers[3], Err(WriteError::Refused(No::Database(_)))));
    assert!(matches!(answers[4], Err(WriteError::Panicked(ref text)) if text == "on purpose"));
    let mut kept = kinds(&world).await;
    kept.sort();
    assert_eq!(kept, ["1", "5"]);
}

#[tokio::test]
async fn a_failure_in_a_batch_of_one_leaves_nothing() {
    let world = World::new().await;
    for fate in [Fate::Fail, Fate::Panic, Fate::BreakAStatement] {
        assert!(
            write_and(world.db.clone(), of_group("lonely"), fate)
                .await
                .is_err()
        );
    }
    assert!(kinds(&world).await.is_empty());
    write_and(world.db.clone(), of_group("next"), Fate::Succeed)
        .await
        .unwrap();
    assert_eq!(kinds(&world).await, ["next"], "and the writer goes on");
}

#[tokio::test]
async fn the_write_of_a_dropped_caller_is_committed() {
    let world = World::new().await;
    let hold = world.hold_writer().await;
    let mut caller = JoinSet::new();
    caller.spawn(write_and(world.db.clone(), of_group("dropped"), Fate::Succeed));
    world.until_queued(1).await;
    caller.shutdown().await;
    hold.let_go().await;
    until(async || kinds(&world).await == ["dropped"]).await;
}

#[tokio::test]
async fn a_caller_that_is_dropped_while_its_entry_runs_does_not_stop_it() {
    let world = World::new().await;
    let (started, go) = (
        Arc::new(tokio::sync::Notify::new()),
        Arc::new(tokio::sync::Notify::new()),
    );
    let (db, has_started, may_go) = (world.db.clone(), Arc::clone(&started), Arc::clone(&go));
    let mut caller = JoinSet::new();
    caller.spawn(async move {
        db.write(Urgency::Urgent, move |txn| {
            Box::pin(async move {
                has_started.notify_one();
                may_go.notified().await;
                queue::enqueue(txn, &of_group("running"), NOW).await
            })
        })
        .await
    });
    within_reason(started.notified()).await;
    caller.shutdown().await;
    go.notify_one();
    until(async || kinds(&world).await == ["running"]).await;
}

#[tokio::test]
async fn urgent_overtakes_background() {
    let world = World::new().await;
    if !world.is_sqlite() {
        return; // Several writers at once have no order to observe.
    }
    let hold = world.hold_writer().await;
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut callers = JoinSet::new();
    for (n, urgency) in [Urgency::Background, Urgency::Urgent, Urgency::Urgent]
        .into_iter()
        .enumerate()
    {
        let (db, order) = (world.db.clone(), Arc::clone(&order));
        callers.spawn(async move {
            let entry = move || order.lock().push(urgency);
            db.write(urgency, move |_| {
                Box::pin(async move {
                    entry();
                    Ok::<(), DbErr>(())
                })
            })
            .await
        });
        world.until_queued(n + 1).await;
    }
    hold.let_go().await;
    callers.join_all().await;
    assert_eq!(
        *order.lock(),
        [Urgency::Urgent, Urgency::Urgent, Urgency::Background]
    );
}

#[tokio::test]
async fn a_full_queue_is_busy_at_once_and_accepts_entries_later() {
    let world = World::new().await;
    let hold = world.hold_writer().await;
    let mut callers = JoinSet::new();
    for n in 0..1024 {
        callers.spawn(write_and(
            world.db.clone(),
            of_group(&n.to_string()),
            Fate::Succeed,
        ));
    }
    world.until_queued(1024).await;
    let refused = write_and(world.db.clone(), of_group("too many"), Fate::Succeed).await;
    assert!(matches!(refused, Err(WriteError::Busy)));

    hold.let_go().await;
    let answers = callers.join_all().await;
    assert!(answers.iter().all(Result::is_ok), "what was taken is written");
    write_and(world.db.clone(), of_group("now"), Fate::Succeed)
        .await
        .unwrap();
    assert_eq!(kinds(&world).await.len(), 1025);
}

#[tokio::test]
async fn closing_writes_the_queued_entries_and_accepts_no_more() {
    let mut world = World::new().await;
    let hold = world.hold_writer().await;
    let mut callers = JoinSet::new();
    callers.spawn(write_and(world.db.clone(), of_group("queued"), Fate::Succeed));
    world.until_queued(1).await;
    let closed = world.db.clone();
    let (reopened, ()) = tokio::join!(world.reopen(), hold.let_go());
    let () = reopened;
    assert!(callers.join_all().await.iter().all(Result::is_ok));
    let refused = write_and(closed, of_group("late"), Fate::Succeed).await;
    assert!(matches!(refused, Err(WriteError::Closed)));
    assert_eq!(kinds(&world).await, ["queued"]);
}

#[tokio::test]
async fn work_survives_reopening_the_database() {
    let mut world = World::new().await;
    let payload = serde_json::json!({"preheat": 7, "name": "wörk"});
    let new = NewWork {
        payload,
        trace: Some("00-trace".to_owned()),
        priority: 3,
        ..work("resolve")
    };
    let id = world.enqueue(new.clone()).await;
    world.reopen().await;
    let kept = world.work(id).await.unwrap();
    assert_eq!(
        (kept.payload, kept.trace, kept.priority),
        (new.payload, new.trace, 3)
    );
    assert_eq!(
        (kept.kind.as_str(), kept.is_running, kept.created_ms),
        ("resolve", false, NOW)
    );
}

#[tokio::test]
async fn an_answered_write_is_synced_to_the_disk() {
    let world = World::new().await;
    if !world.is_sqlite() {
        return;
    }
    for (pragma, wanted) in [
        ("journal_mode", "wal"),
        ("synchronous", "2"),
        ("foreign_keys", "1"),
    ] {
        let asked = sea_orm::Statement::from_string(sea_orm::DbBackend::Sqlite, format!("PRAGMA {pragma}"));
        let row = world
            .db
            .connection_for_migrations()
            .query_one_raw(asked)
            .await
            .unwrap()
            .unwrap();
        let found = row
            .try_get_by_index::<String>(0)
            .or_else(|_| row.try_get_by_index::<i64>(0).map(|n| n.to_string()));
        assert_eq!(found.unwrap(), wanted, "{pragma}");
    }
}

#[tokio::test]
async fn every_write_goes_through_the_writer() {
    let world = World::new().await;
    if world.is_sqlite() {
        assert!(
            queue::enqueue(world.db.reads(), &work("sneaked in"), NOW)
                .await
                .is_err()
        );
    }
}

#[tokio::test]
async fn an_invalid_address_is_refused() {
    let refusals = [
        Database::open("oracle:x").await.err(),
        Database::open("sqlite::memory:").await.err(),
    ];
    assert!(matches!(
        refusals,
        [Some(OpenError::UnknownKind), Some(OpenError::InMemory)]
    ));
    let missing = Database::open("sqlite:/no/such/folder/queue.db").await.err();
    assert!(matches!(missing, Some(OpenError::Refused(_))));
}
