//! Commits queued writes as one group: one sync to disk for many callers.
//!
//! On SQLite one task owns the only writing connection. A batch takes the queued entries, each in its own savepoint, and
//! ends when the queue is empty or a limit is reached; it never waits for more entries. While it commits, the next batch
//! gathers. A database server groups commits itself, so there several tasks commit single entries, which also keeps row
//! locks short.
//!
//! **Invariant:** a caller gets `Ok` only after the commit of its entry. Transactions live in these tasks only, so a
//! dropped caller never cancels one.

use std::sync::Arc;
use std::time::Duration;

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, IsolationLevel,
    SqliteTransactionMode, TransactionOptions, TransactionTrait,
};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::caller_count::CallerCount;
use crate::entry::{Entry, EntryOutcome};
use crate::entry_queues::EntryQueues;

/// The order of entries, and what happens when the queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// A caller waits for the result: goes first; with a full queue it fails at once.
    Urgent,
    /// Background work: goes when there is room but never starves; waits a while if the queue is full.
    Background,
}

pub(crate) type BoxedEntry = Box<dyn Entry>;
type Queues = Arc<Mutex<EntryQueues<BoxedEntry>>>;

const QUEUE: usize = 1024;
const BATCH_ENTRIES: usize = 256;
/// A batch that has run this long commits, so that later entries do not delay its first caller…
const BATCH_TIME: Duration = Duration::from_millis(2);
/// … unless it is still small: on a slow machine, a sync for every few entries would make it slower.
const SMALL_BATCH: usize = 64;
/// The time limit of one entry, so that a hanging one does not block the others.
const ENTRY_LIMIT: Duration = Duration::from_secs(10);
const PLACE_LIMIT: Duration = Duration::from_secs(5);
pub(crate) const SERVER_WRITERS: u32 = 8;

/// Accepts entries for the writing tasks.
pub(crate) struct Writer {
    callers: CallerCount,
    urgent: mpsc::Sender<BoxedEntry>,
    background: mpsc::Sender<BoxedEntry>,
    closing: CancellationToken,
    finished: CancellationToken,
}

/// Why an entry was not queued.
pub(crate) enum HandInError {
    Full,
    Closed,
}

impl Writer {
    /// Starts the tasks. They end after the last handle is dropped and the queue is written.
    pub(crate) fn start(connection: &DatabaseConnection) -> Self {
        let (urgent, from_urgent) = mpsc::channel(QUEUE);
        let (background, from_background) = mpsc::channel(QUEUE);
        let queues = Arc::new(Mutex::new(EntryQueues::new(from_urgent, from_background)));
        let (closing, finished) = (CancellationToken::new(), CancellationToken::new());
        let is_sqlite = connection.get_database_backend() == DbBackend::Sqlite;
        let (writers, at_most) = if is_sqlite {
            (1, BATCH_ENTRIES)
        } else {
            (SERVER_WRITERS, 1)
        };
        let mut tasks = JoinSet::new();
        let finishing = Arc::new(finished.clone().drop_guard());
        for _ in 0..writers {
            let batches = Batches {
                connection: connection.clone(),
                queues: Arc::clone(&queues),
                at_most,
            };
            let (closing, finishing) = (closing.clone(), Arc::clone(&finishing));
            tasks.spawn(async move {
                batches.write_all(&closing).await;
                drop(finishing);
            });
        }
        tasks.detach_all();
        Self {
            callers: CallerCount::default(),
            urgent,
            background,
            closing,
            finished,
        }
    }

    pub(crate) async fn hand_in(&self, urgency: Urgency, entry: BoxedEntry) -> Result<(), HandInError> {
        match urgency {
            Urgency::Urgent => self.hand_in_urgent(entry),
            Urgency::Background => {
                self.background
                    .send_timeout(entry, PLACE_LIMIT)
                    .await
                    .map_err(|refused| match refused {
                        mpsc::error::SendTimeoutError::Timeout(_) => HandInError::Full,
                        mpsc::error::SendTimeoutError::Closed(_) => HandInError::Closed,
                    })
            }
        }
    }

    /// Queues the entry at once or fails.
    pub(crate) fn hand_in_urgent(&self, entry: BoxedEntry) -> Result<(), HandInError> {
        self.another_caller();
        self.urgent.try_send(entry).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => HandInError::Full,
            mpsc::error::TrySendError::Closed(_) => HandInError::Closed,
        })
    }

    /// Counts a caller that joins a queued entry.
    pub(crate) fn another_caller(&self) {
        self.callers.another();
    }

    /// Waits while many callers write, for at most half a second: they go before background work.
    pub(crate) async fn give_way(&self) {
        self.callers.give_way().await;
    }

    /// Returns the number of entries that wait for a batch.
    pub(crate) fn queued(&self) -> usize {
        [&self.urgent, &self.background]
            .map(|queue| queue.max_capacity() - queue.capacity())
            .iter()
            .sum()
    }

    /// Accepts no new entries and completes once the queue is written.
    pub(crate) async fn close(&self) {
        self.closing.cancel();
        self.finished.cancelled().await;
    }
}

/// What decides how long a batch takes more entries.
struct Batch {
    started: Instant,
    /// Whether callers wait for its commit.
    has_callers: bool,
}

/// One writing task.
struct Batches {
    connection: DatabaseConnection,
    queues: Queues,
    at_most: usize,
}

impl Batches {
    async fn write_all(self, closing: &CancellationToken) {
        while let Some(first) = self.first(closing).await {
            self.write_batch(first).await;
        }
    }

    async fn first(&self, closing: &CancellationToken) -> Option<BoxedEntry> {
        let mut queues = self.queues.lock().await;
        tokio::select! {
            biased;
            () = closing.cancelled() => { queues.close(); queues.next().await }
            entry = queues.next() => entry,
        }
    }

    async fn write_batch(&self, first: BoxedEntry) {
        let mut entries = vec![first];
        let outcome = match self
            .connection
            .begin_with_options(options(&self.connection))
            .await
        {
            Ok(txn) => self.run_and_commit(txn, &mut entries).await,
            Err(error) => Err(error),
        };
        if let Err(error) = &outcome {
            tracing::warn!(%error, entries = entries.len(), "batch of writes failed");
        }
        let outcome = outcome.map_err(Arc::new);
        for entry in entries {
            entry.answer(outcome.clone());
        }
    }

    async fn run_and_commit(
        &self,
        txn: DatabaseTransaction,
        entries: &mut Vec<BoxedEntry>,
    ) -> Result<(), DbErr> {
        match self.run(&txn, entries).await? {
            EntryOutcome::Keep => txn.commit().await,
            EntryOutcome::Undo => txn.rollback().await,
        }
    }

    /// Runs entries until the queue is empty or a limit is reached. Every taken entry is in `entries`, so that it is
    /// answered in any case.
    async fn run(
        &self,
        txn: &DatabaseTransaction,
        entries: &mut Vec<BoxedEntry>,
    ) -> Result<EntryOutcome, DbErr> {
        let mut batch = Batch {
            started: Instant::now(),
            has_callers: false,
        };
        let mut savepoint = Savepoint::new(txn);
        let mut at = 0;
        while at < entries.len() {
            self.take_another(entries, &mut batch).await;
            // A single entry needs no savepoint: the transaction serves as one.
            let is_alone = entries.len() == 1;
            if !is_alone {
                savepoint.set().await?;
            }
            match run_within_limit(entries.get_mut(at), txn).await? {
                EntryOutcome::Keep => {}
                EntryOutcome::Undo if is_alone => return Ok(EntryOutcome::Undo),
                EntryOutcome::Undo => savepoint.undo().await?,
            }
            at += 1;
            if at == entries.len() {
                self.take_another(entries, &mut batch).await;
            }
        }
        Ok(EntryOutcome::Keep)
    }

    async fn take_another(&self, entries: &mut Vec<BoxedEntry>, batch: &mut Batch) {
        let may_go_on = entries.len() < SMALL_BATCH || batch.started.elapsed() < BATCH_TIME;
        if entries.len() >= self.at_most || !may_go_on {
            return;
        }
        let mut queues = self.queues.lock().await;
        batch.has_callers |= queues.has_callers();
        let another = if batch.has_callers {
            queues.queued_for_caller()
        } else {
            queues.queued()
        };
        entries.extend(another);
    }
}

async fn run_within_limit(
    entry: Option<&mut BoxedEntry>,
    txn: &DatabaseTransaction,
) -> Result<EntryOutcome, DbErr> {
    let Some(entry) = entry else {
        return Ok(EntryOutcome::Keep);
    };
    timeout(ENTRY_LIMIT, entry.run(txn))
        .await
        .map_err(|_| DbErr::Custom("a write took longer than 10 s and its batch was aborted".to_owned()))
}

/// Takes SQLite's write lock at once: a transaction that reads first and writes later fails if another one wrote in
/// between, regardless of the busy timeout.
fn options(connection: &DatabaseConnection) -> TransactionOptions {
    let is_sqlite = connection.get_database_backend() == DbBackend::Sqlite;
    TransactionOptions {
        isolation_level: (!is_sqlite).then_some(IsolationLevel::ReadCommitted),
        access_mode: None,
        sqlite_transaction_mode: is_sqlite.then_some(SqliteTransactionMode::Immediate),
    }
}

/// One savepoint that is moved from entry to entry.
struct Savepoint<'a> {
    txn: &'a DatabaseTransaction,
    place: Place,
}

enum Place {
    Nowhere,
    BeforeThisEntry,
    BeforeAnEarlierOne,
}

impl<'a> Savepoint<'a> {
    fn new(txn: &'a DatabaseTransaction) -> Self {
        Self {
            txn,
            place: Place::Nowhere,
        }
    }

    async fn set(&mut self) -> Result<(), DbErr> {
        let statements = match self.place {
            Place::Nowhere => "SAVEPOINT entry",
            Place::BeforeThisEntry => "",
            // One round trip for both.
            Place::BeforeAnEarlierOne => "RELEASE SAVEPOINT entry; SAVEPOINT entry",
        };
        if !statements.is_empty() {
            self.txn.execute_unprepared(statements).await?;
        }
        self.place = Place::BeforeAnEarlierOne;
        Ok(())
    }

    /// Undoes the entry's changes. The savepoint stays and serves the next entry.
    async fn undo(&mut self) -> Result<(), DbErr> {
        self.txn.execute_unprepared("ROLLBACK TO SAVEPOINT entry").await?;
        self.place = Place::BeforeThisEntry;
        Ok(())
    }
}
