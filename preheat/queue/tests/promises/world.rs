//! A database of its own for each test, and the few things that most tests do with it.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use migrations::{Migrator, MigratorTrait};
use queue::{Claimed, Database, HolderId, NewWork, Urgency, Work, WorkId};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, DbErr};
use tempfile::TempDir;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use uuid::Uuid;

pub(crate) const LANE: &str = "manager";
pub(crate) const NOW: i64 = 1_000_000;

pub(crate) struct World {
    pub(crate) db: Database,
    url: String,
    _folder: TempDir,
}

impl World {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = match server() {
            Some(server) => database_on(&server).await,
            None => format!("sqlite:{}", folder.path().join("queue.db").display()),
        };
        let db = Database::open(&url).await.unwrap();
        Migrator::up(db.connection_for_migrations(), None).await.unwrap();
        Self {
            db,
            url,
            _folder: folder,
        }
    }

    /// Closes the database and opens it again.
    pub(crate) async fn reopen(&mut self) {
        self.db.close().await.unwrap();
        self.db = Database::open(&self.url).await.unwrap();
    }

    pub(crate) fn is_sqlite(&self) -> bool {
        self.db.reads().get_database_backend() == DbBackend::Sqlite
    }

    pub(crate) async fn enqueue(&self, work: NewWork) -> WorkId {
        self.db
            .write(Urgency::Urgent, move |txn| {
                Box::pin(async move { queue::enqueue(txn, &work, NOW).await })
            })
            .await
            .unwrap()
    }

    pub(crate) async fn holder(&self, kind: &'static str, until_ms: i64) -> HolderId {
        let id = Uuid::now_v7();
        self.db
            .write(Urgency::Urgent, move |txn| {
                Box::pin(queue::register_holder(txn, id, kind, until_ms))
            })
            .await
            .unwrap();
        id
    }

    pub(crate) async fn claim(&self, holder: HolderId, at_most: usize, now_ms: i64) -> Vec<Claimed> {
        queue::claim(&self.db, LANE, holder, at_most, now_ms)
            .await
            .unwrap()
    }

    pub(crate) async fn complete(&self, claimed: &Claimed) -> bool {
        let (id, fence, holder) = (claimed.id, claimed.fence, claimed.holder);
        self.db
            .write(Urgency::Urgent, move |txn| {
                Box::pin(queue::complete(txn, id, fence, holder))
            })
            .await
            .unwrap()
    }

    pub(crate) async fn reclaim(&self, now_ms: i64) -> Vec<HolderId> {
        self.db
            .write(Urgency::Background, move |txn| {
                Box::pin(queue::reclaim_expired(txn, now_ms))
            })
            .await
            .unwrap()
    }

    pub(crate) async fn work(&self, id: WorkId) -> Option<Work> {
        queue::work_of(self.db.reads(), id).await.unwrap()
    }

    /// Keeps the writer (all of them on a server) busy until the returned hold is let go.
    pub(crate) async fn hold_writer(&self) -> Hold {
        let writers = if self.is_sqlite() { 1 } else { 8 };
        let (started, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let mut held = JoinSet::new();
        for _ in 0..writers {
            let (db, has_started, may_go) = (self.db.clone(), Arc::clone(&started), Arc::clone(&go));
            held.spawn(async move {
                db.write(Urgency::Urgent, move |_: &DatabaseTransaction| {
                    Box::pin(async move {
                        has_started.notify_one();
                        may_go.notified().await;
                        Ok::<(), DbErr>(())
                    })
                })
                .await
                .unwrap();
            });
            within_reason(started.notified()).await;
        }
        Hold { go, held }
    }

    pub(crate) async fn until_queued(&self, entries: usize) {
        until(async || self.db.queued_writes() == entries).await;
    }
}

pub(crate) struct Hold {
    go: Arc<Notify>,
    held: JoinSet<()>,
}

impl Hold {
    pub(crate) async fn let_go(mut self) {
        for _ in 0..self.held.len() {
            self.go.notify_one();
            self.held.join_next().await.unwrap().unwrap();
        }
    }
}

pub(crate) fn work(kind: &str) -> NewWork {
    NewWork {
        lane: LANE.to_owned(),
        kind: kind.to_owned(),
        run_at_ms: NOW,
        ..NewWork::default()
    }
}

/// Polls until it is so; a promise that is not kept fails the test instead of hanging it.
pub(crate) async fn until(is_so: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so().await {
        assert!(Instant::now() < deadline, "it did not come about");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

pub(crate) async fn within_reason<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future)
        .await
        .expect("it did not come about")
}

#[expect(
    clippy::disallowed_methods,
    reason = "names the database server to test against"
)]
fn server() -> Option<String> {
    std::env::var("STOKER_TEST_DATABASE").ok()
}

async fn database_on(server: &str) -> String {
    let name = format!("queue_{}", Uuid::now_v7().simple());
    let connection = sea_orm::Database::connect(server).await.unwrap();
    connection
        .execute_unprepared(&format!("CREATE DATABASE {name}"))
        .await
        .unwrap();
    let (address, _) = server.rsplit_once('/').unwrap();
    format!("{address}/{name}")
}
