//! One write that somebody asked for: what to run, what came of it, and whom to tell.
//!
//! An entry does not belong to its asker. Whoever asked may go away (a web server drops the handler of a client that
//! hung up); the entry runs to its end all the same.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sea_orm::{DatabaseTransaction, DbErr};
use tokio::sync::oneshot;

/// Why a write was not made.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WriteError<E> {
    /// The entry itself said no; nothing of it was kept.
    #[error("{0}")]
    Refused(E),
    /// The queue is full.
    #[error("the database has more to write than it can take; try again in a moment")]
    Busy,
    /// The entry panicked; nothing of it was kept.
    #[error("a write went wrong inside the program: {0}")]
    Panicked(String),
    /// The database refused the whole batch. When the connection broke during the commit, the write may have been
    /// made after all.
    #[error("the database did not take the write: {0}")]
    Database(Arc<DbErr>),
    /// The database was closed.
    #[error("the database is being closed; nothing more is written")]
    Closed,
}

impl<E> WriteError<E> {
    /// The same failure for somebody who has other refusals.
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

/// What the writer has to do with an entry's changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EntryOutcome {
    Keep,
    Undo,
}

/// An entry whose types the writer need not know.
pub(crate) trait Entry: Send {
    fn run<'a>(&'a mut self, txn: &'a DatabaseTransaction) -> BoxFuture<'a, EntryOutcome>;
    /// Tells the asker, after the batch has ended. A broken batch takes back what had succeeded.
    fn answer(self: Box<Self>, batch: Result<(), Arc<DbErr>>);
}

/// A caller's closure on its way through the writer.
pub(crate) struct ClosureEntry<F, T, E> {
    work: Option<F>,
    outcome: Option<Result<T, WriteError<E>>>,
    asker: oneshot::Sender<Result<T, WriteError<E>>>,
}

impl<F, T, E> ClosureEntry<F, T, E> {
    pub(crate) fn new(work: F) -> (Self, oneshot::Receiver<Result<T, WriteError<E>>>) {
        let (asker, answer) = oneshot::channel();
        (
            Self {
                work: Some(work),
                outcome: None,
                asker,
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
            // The closure is called inside of the future, so that a panic of either is caught.
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
        // Nobody there any more: the write was made all the same.
        self.asker.send(answer).ok();
    }
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "panic without a text".to_owned())
}
