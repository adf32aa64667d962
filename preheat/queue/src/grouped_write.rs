//! Writes similar items of many callers as one entry.
//!
//! Each statement costs a round trip to the database's thread. Callers that arrive while an entry waits for its batch
//! join it, so that one statement writes the items of all.
//!
//! **Invariant:** an entry is written completely or not at all, and each caller gets the same result as with its own
//! entry: `Ok` only after the commit. A dropped caller changes nothing.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use sea_orm::{DatabaseTransaction, DbErr};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::database::Database;
use crate::entry::{Entry, EntryOutcome, WriteError, panic_text};
use crate::writer::{HandInError, Urgency};

/// Callers that may wait for one entry; more get [`WriteError::Busy`].
const AT_MOST: usize = 1024;

/// Writes all items and returns one result for each, in the same order.
pub type WriteAll<I, T> = fn(&DatabaseTransaction, Vec<I>) -> BoxFuture<'_, Result<Vec<T>, DbErr>>;

type Answer<T> = Result<T, WriteError<DbErr>>;

/// One kind of grouped write. Clones share the joinable entry.
pub struct GroupedWrite<I, T>(Arc<Shared<I, T>>);

struct Shared<I, T> {
    work: WriteAll<I, T>,
    joined: Mutex<Vec<Joined<I, T>>>,
}

struct Joined<I, T> {
    item: I,
    caller: oneshot::Sender<Answer<T>>,
}

impl<I, T> Clone for GroupedWrite<I, T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<I: Send + 'static, T: Send + 'static> GroupedWrite<I, T> {
    pub fn new(work: WriteAll<I, T>) -> Self {
        let joined = Mutex::default();
        Self(Arc::new(Shared { work, joined }))
    }

    /// Writes the item as urgent, grouped with those of other callers.
    pub async fn write(&self, db: &Database, item: I) -> Answer<T> {
        let began = Instant::now();
        let (caller, answer) = oneshot::channel();
        self.join(db, Joined { item, caller })?;
        let answer = answer.await.unwrap_or(Err(WriteError::Closed));
        db.wrote(Urgency::Urgent, began);
        answer
    }

    /// Adds an item without awaiting, so that every joined item has a queued entry.
    fn join(&self, db: &Database, joined: Joined<I, T>) -> Result<(), WriteError<DbErr>> {
        let mut waiting = self.0.joined.lock();
        if waiting.len() >= AT_MOST {
            return Err(WriteError::Busy);
        }
        if waiting.is_empty() {
            let entry = Group {
                shared: Arc::clone(&self.0),
                results: None,
                callers: Vec::new(),
            };
            db.hand_in_urgent(Box::new(entry))
                .map_err(|refused| match refused {
                    HandInError::Full => WriteError::Busy,
                    HandInError::Closed => WriteError::Closed,
                })?;
        } else {
            db.another_caller();
        }
        waiting.push(joined);
        Ok(())
    }
}

/// The entry for all items that have joined when it runs.
struct Group<I, T> {
    shared: Arc<Shared<I, T>>,
    results: Option<Result<Vec<T>, WriteError<DbErr>>>,
    callers: Vec<oneshot::Sender<Answer<T>>>,
}

impl<I: Send, T: Send> Entry for Group<I, T> {
    fn run<'a>(&'a mut self, txn: &'a DatabaseTransaction) -> BoxFuture<'a, EntryOutcome> {
        Box::pin(async move {
            let joined = std::mem::take(&mut *self.shared.joined.lock());
            let (items, callers) = joined
                .into_iter()
                .map(|joined| (joined.item, joined.caller))
                .unzip();
            self.callers = callers;
            let work = self.shared.work;
            let running = AssertUnwindSafe(async move { work(txn, items).await });
            let results = match running.catch_unwind().await {
                Ok(results) => results.map_err(WriteError::Refused),
                Err(panic) => Err(WriteError::Panicked(panic_text(panic.as_ref()))),
            };
            let wish = if results.is_ok() {
                EntryOutcome::Keep
            } else {
                EntryOutcome::Undo
            };
            self.results = Some(results);
            wish
        })
    }

    fn answer(self: Box<Self>, batch: Result<(), Arc<DbErr>>) {
        // If the batch failed before this entry ran, its callers are still in the joined list.
        let mut callers = self.callers;
        if self.results.is_none() {
            let joined = std::mem::take(&mut *self.shared.joined.lock());
            callers.extend(joined.into_iter().map(|joined| joined.caller));
        }
        let failure = match (batch, self.results) {
            (Ok(()), Some(Ok(values))) => {
                return std::iter::zip(callers, values).for_each(|(caller, value)| tell(caller, Ok(value)));
            }
            (_, Some(Err(refusal))) => refusal,
            (Err(error), _) => WriteError::Database(error),
            (Ok(()), None) => WriteError::Closed,
        };
        for caller in callers {
            tell(caller, Err(again(&failure)));
        }
    }
}

fn tell<T>(caller: oneshot::Sender<Answer<T>>, answer: Answer<T>) {
    // The caller was dropped; its write stays committed.
    caller.send(answer).ok();
}

/// Returns the same failure for another caller.
fn again(error: &WriteError<DbErr>) -> WriteError<DbErr> {
    match error {
        WriteError::Refused(error) => WriteError::Database(Arc::new(DbErr::Custom(error.to_string()))),
        WriteError::Busy => WriteError::Busy,
        WriteError::Panicked(text) => WriteError::Panicked(text.clone()),
        WriteError::Database(error) => WriteError::Database(Arc::clone(error)),
        WriteError::Closed => WriteError::Closed,
    }
}
