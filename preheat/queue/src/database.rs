//! The database: reads on one pool, writes through the writer.
//!
//! **Invariant:** on SQLite a confirmed write survives a power cut: WAL with `synchronous = FULL`.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use prometheus_client::registry::Registry;
use sea_orm::{ConnectOptions, DatabaseConnection, DatabaseTransaction, DbErr};
use sqlx::Executor;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use tokio::time::Instant;

use crate::entry::{ClosureEntry, WriteError};
use crate::metrics::{DatabaseGauges, WriteDurations};
use crate::pools::Pools;
use crate::writer::{BoxedEntry, HandInError, SERVER_WRITERS, Urgency, Writer};

const READERS: u32 = 4;
const SERVER_READERS: u32 = 8;
const ACQUIRE_LIMIT: Duration = Duration::from_secs(5);
const BUSY_LIMIT: Duration = Duration::from_secs(5);

/// Why the database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("unknown kind of database: the address must begin with sqlite:, postgres:// or mysql://")]
    UnknownKind,
    #[error(
        "an in-memory SQLite database would lose everything: write sqlite:PATH, for example sqlite:/var/lib/stoker/stoker.db"
    )]
    InMemory,
    #[error("cannot open the database: {0}; check its address and permissions")]
    Refused(#[from] DbErr),
}

/// Cheap to clone; clones share the pools and the writer.
#[derive(Clone)]
pub struct Database {
    pools: Arc<Pools>,
    durations: WriteDurations,
}

impl Database {
    /// Opens `sqlite:PATH` (creates the file if missing), `postgres://…` or `mysql://…` (also MariaDB).
    pub async fn open(url: &str) -> Result<Self, OpenError> {
        let (to_write, to_read) = match url.split_once(':') {
            Some(("sqlite", path)) if path.contains(":memory:") || path.contains("mode=memory") => {
                return Err(OpenError::InMemory);
            }
            Some(("sqlite", _)) => (sqlite_writes(url), sqlite_reads(url)),
            Some(("postgres" | "postgresql" | "mysql" | "mariadb", _)) => {
                (server_pool(url, SERVER_WRITERS), server_pool(url, SERVER_READERS))
            }
            _ => return Err(OpenError::UnknownKind),
        };
        // The writing connection first: it creates the file and turns WAL on.
        let writes = sea_orm::Database::connect(to_write).await?;
        let reads = sea_orm::Database::connect(to_read).await?;
        let pools = Pools {
            writer: Writer::start(&writes),
            reads,
            writes,
        };
        Ok(Self {
            pools: Arc::new(pools),
            durations: WriteDurations::new(),
        })
    }

    /// Returns the pool for reads; on SQLite it refuses writes.
    pub fn reads(&self) -> &DatabaseConnection {
        &self.pools.reads
    }

    /// Returns the connection for migrations at start. Everything else writes through [`Database::write`].
    pub fn connection_for_migrations(&self) -> &DatabaseConnection {
        &self.pools.writes
    }

    /// Runs `work` in a transaction and returns after the commit. An `Err` of `work` undoes its own changes only. Once
    /// polled, the work runs to its end, even if the caller is dropped.
    pub async fn write<T, E, F>(&self, urgency: Urgency, work: F) -> Result<T, WriteError<E>>
    where
        F: for<'a> FnOnce(&'a DatabaseTransaction) -> BoxFuture<'a, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        let began = Instant::now();
        let (entry, answer) = ClosureEntry::new(work);
        self.pools
            .writer
            .hand_in(urgency, Box::new(entry))
            .await
            .map_err(|refused| match refused {
                HandInError::Full => WriteError::Busy,
                HandInError::Closed => WriteError::Closed,
            })?;
        let answer = answer.await.unwrap_or(Err(WriteError::Closed));
        self.wrote(urgency, began);
        answer
    }

    /// Records the duration of a write that a caller began at `began`.
    pub(crate) fn wrote(&self, urgency: Urgency, began: Instant) {
        self.durations.note(urgency, began.elapsed());
    }

    /// Registers the metrics of writes and connections.
    pub fn register_metrics(&self, registry: &mut Registry) {
        self.durations.register(registry);
        registry.register_collector(Box::new(DatabaseGauges(Arc::downgrade(&self.pools))));
    }

    pub(crate) fn hand_in_urgent(&self, entry: BoxedEntry) -> Result<(), HandInError> {
        self.pools.writer.hand_in_urgent(entry)
    }

    pub(crate) fn another_caller(&self) {
        self.pools.writer.another_caller();
    }

    /// Returns how many writes wait for a batch.
    pub fn queued_writes(&self) -> usize {
        self.pools.writer.queued()
    }

    /// Waits while many callers write, for at most half a second.
    pub(crate) async fn give_way(&self) {
        self.pools.writer.give_way().await;
    }

    /// Writes what is queued, accepts nothing new, and closes the connections.
    pub async fn close(&self) -> Result<(), DbErr> {
        self.pools.writer.close().await;
        self.pools.reads.close_by_ref().await?;
        self.pools.writes.close_by_ref().await
    }
}

fn pool(url: &str, connections: u32) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_LIMIT)
        .sqlx_logging(false);
    options
}

fn sqlite(options: SqliteConnectOptions) -> SqliteConnectOptions {
    options
        .busy_timeout(BUSY_LIMIT)
        .foreign_keys(true)
        .pragma("temp_store", "MEMORY")
}

fn sqlite_writes(url: &str) -> ConnectOptions {
    let mut options = pool(url, 1);
    options.map_sqlx_sqlite_opts(|options| {
        sqlite(options)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
    });
    options
}

fn sqlite_reads(url: &str) -> ConnectOptions {
    let mut options = pool(url, READERS);
    options.map_sqlx_sqlite_opts(|options| sqlite(options).pragma("query_only", "ON"));
    options
}

/// Rolls each connection back before use: a cancelled `begin` leaves an open transaction (sqlx 0.9.0), and later writes
/// on it would never be committed.
fn server_pool(url: &str, connections: u32) -> ConnectOptions {
    // The driver uses MySQL's scheme for MariaDB.
    let url = url
        .strip_prefix("mariadb:")
        .map_or_else(|| url.to_owned(), |rest| format!("mysql:{rest}"));
    let mut options = pool(&url, connections);
    options
        .map_sqlx_postgres_before_acquire(|connection, _| {
            Box::pin(async move { connection.execute("ROLLBACK").await.map(|_| true) })
        })
        .map_sqlx_mysql_before_acquire(|connection, _| {
            Box::pin(async move { connection.execute("ROLLBACK").await.map(|_| true) })
        });
    options
}
