//! One requested write: what to run, its result, and the channel to its caller.
//!
//! An entry does not belong to its caller. The caller may be dropped (a web server drops the handler of a disconnected
//! client), but the entry still runs to its end.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sea_orm::{DatabaseTransaction, DbErr};
use tokio::sync::oneshot;

/// Why a write failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WriteError<E> {
    /// The entry itself refused; its changes were undone.
    #[error("{0}")]
    Refused(E),
    /// The queue is full.
    #[error("the write queue of the database is full: retry later")]
    Busy,
    /// The entry panicked; its changes were undone.
    #[error("a write failed with a panic: {0}")]
    Panicked(String),
    /// The whole batch failed. If the connection broke during the commit, the write may have been committed.
    #[error("the database refused the write: {0}")]
    Database(Arc<DbErr>),
    /// The database was closed.
    #[error("the database is closing and accepts no write")]
    Closed,
}

impl<E> WriteError<E> {
    /// Converts the error type of a refusal.
    pub fn map_refusal<F>(self, map: impl FnOnce(E) -> F) -> WriteError<F> {
        match self {
            Self::Refused(refusal) => WriteError::Refused(map(refusal)),
            Self::Busy => WriteError::Busy,
            Self::Panicked(text) => WriteError::Panicked(text),
            Self::Database(error) => WriteError::Database(error),
            Self::Closed => WriteError::Closed,
        }
    }
}

/// What the writer does with an entry's changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EntryOutcome {
    Keep,
    Undo,
}

/// An entry, independent of its types.
pub(crate) trait Entry: Send {
    fn run<'a>(&'a mut self, txn: &'a DatabaseTransaction) -> BoxFuture<'a, EntryOutcome>;
    /// Sends the result to the caller after the batch. If the batch failed, so did the entry.
    fn answer(self: Box<Self>, batch: Result<(), Arc<DbErr>>);
}

/// An entry that runs a caller's closure.
pub(crate) struct ClosureEntry<F, T, E> {
    work: Option<F>,
    outcome: Option<Result<T, WriteError<E>>>,
    caller: oneshot::Sender<Result<T, WriteError<E>>>,
}

impl<F, T, E> ClosureEntry<F, T, E> {
    pub(crate) fn new(work: F) -> (Self, oneshot::Receiver<Result<T, WriteError<E>>>) {
        let (caller, answer) = oneshot::channel();
        (
            Self {
                work: Some(work),
                outcome: None,
                caller,
            },
            answer,
        )
    }
}

impl<F, T, E> Entry for ClosureEntry<F, T, E>
where
    F: for<'a> FnOnce(&'a DatabaseTransaction) -> BoxFuture<'a, Result<T, E>> + Send,
    T: Send,
    E: Send,
{
    fn run<'a>(&'a mut self, txn: &'a DatabaseTransaction) -> BoxFuture<'a, EntryOutcome> {
        Box::pin(async move {
            let Some(work) = self.work.take() else {
                return EntryOutcome::Undo;
            };
            // Called inside the future, to catch a panic of the closure as well.
            let running = AssertUnwindSafe(async move { work(txn).await });
            let outcome = match running.catch_unwind().await {
                Ok(outcome) => outcome.map_err(WriteError::Refused),
                Err(panic) => Err(WriteError::Panicked(panic_text(panic.as_ref()))),
            };
            let wish = if outcome.is_ok() {
                EntryOutcome::Keep
            } else {
                EntryOutcome::Undo
            };
            self.outcome = Some(outcome);
            wish
        })
    }

    fn answer(self: Box<Self>, batch: Result<(), Arc<DbErr>>) {
        let answer = match (batch, self.outcome) {
            (_, Some(Err(refusal))) => Err(refusal),
            (Ok(()), Some(Ok(value))) => Ok(value),
            (Ok(()), None) => Err(WriteError::Closed),
            (Err(error), _) => Err(WriteError::Database(error)),
        };
        // If the caller is gone, the write stays committed.
        self.caller.send(answer).ok();
    }
}

/// Returns the message of a panic.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "panic without a message".to_owned())
}
