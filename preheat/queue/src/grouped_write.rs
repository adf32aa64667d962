//! Like writes of many callers, made as one entry.
//!
//! A statement costs a trip to the database's thread and back, whatever it writes. Callers that arrive while an entry
//! waits for its batch join it, so that what they have in common is written by one statement.
//!
//! **Invariant:** an entry is written whole or not at all, and each of its callers hears the same as with an entry of
//! their own: `Ok` only after the commit. A caller that goes away changes nothing.

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

/// Callers that may wait for one entry; one more is told that the database is busy.
const AT_MOST: usize = 1024;

/// Writes all items and gives one result for each, in their order.
pub type WriteAll<I, T> = fn(&DatabaseTransaction, Vec<I>) -> BoxFuture<'_, Result<Vec<T>, DbErr>>;

type Answer<T> = Result<T, WriteError<DbErr>>;

/// One kind of write. Clones share the entry that can be joined.
pub struct GroupedWrite<I, T>(Arc<Shared<I, T>>);

struct Shared<I, T> {
    work: WriteAll<I, T>,
    joined: Mutex<Vec<Joined<I, T>>>,
}

struct Joined<I, T> {
    item: I,
    asker: oneshot::Sender<Answer<T>>,
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

    /// Writes the item, urgently, together with those of others.
    pub async fn write(&self, db: &Database, item: I) -> Answer<T> {
        let began = Instant::now();
        let (asker, answer) = oneshot::channel();
        self.join(db, Joined { item, asker })?;
        let answer = answer.await.unwrap_or(Err(WriteError::Closed));
        db.wrote(Urgency::Urgent, began);
        answer
    }

    /// Without a pause in between: an item that has joined always has an entry on its way.
    fn join(&self, db: &Database, joined: Joined<I, T>) -> Result<(), WriteError<DbErr>> {
        let mut waiting = self.0.joined.lock();
        if waiting.len() >= AT_MOST {
            return Err(WriteError::Busy);
        }
        if waiting.is_empty() {
            let entry = Group {
                shared: Arc::clone(&self.0),
                results: None,
                askers: Vec::new(),
            };
            db.hand_in_urgent(Box::new(entry))
                .map_err(|refused| match refused {
                    HandInError::Full => WriteError::Busy,
                    HandInError::Closed => WriteError::Closed,
                })?;
        } else {
            db.another_asker();
        }
        waiting.push(joined);
        Ok(())
    }
}

/// The entry: whoever has joined by the time it runs.
struct Group<I, T> {
    shared: Arc<Shared<I, T>>,
    results: Option<Result<Vec<T>, WriteError<DbErr>>>,
    askers: Vec<oneshot::Sender<Answer<T>>>,
}

impl<I: Send, T: Send> Entry for Group<I, T> {
    fn run<'a>(&'a mut self, txn: &'a DatabaseTransaction) -> BoxFuture<'a, EntryOutcome> {
        Box::pin(async move {
            let joined = std::mem::take(&mut *self.shared.joined.lock());
            let (items, askers) = joined
                .into_iter()
                .map(|joined| (joined.item, joined.asker))
                .unzip();
            self.askers = askers;
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
        // An entry that never ran, because its batch broke before, still has its callers waiting where they joined.
        let mut askers = self.askers;
        if self.results.is_none() {
            let joined = std::mem::take(&mut *self.shared.joined.lock());
            askers.extend(joined.into_iter().map(|joined| joined.asker));
        }
        let failure = match (batch, self.results) {
            (Ok(()), Some(Ok(values))) => {
                return std::iter::zip(askers, values).for_each(|(asker, value)| tell(asker, Ok(value)));
            }
            (_, Some(Err(refusal))) => refusal,
            (Err(error), _) => WriteError::Database(error),
            (Ok(()), None) => WriteError::Closed,
        };
        for asker in askers {
            tell(asker, Err(again(&failure)));
        }
    }
}

fn tell<T>(asker: oneshot::Sender<Answer<T>>, answer: Answer<T>) {
    // Nobody there any more: the write was made all the same.
    asker.send(answer).ok();
}

/// The same failure for one more caller.
fn again(error: &WriteError<DbErr>) -> WriteError<DbErr> {
    match error {
        WriteError::Refused(error) => WriteError::Database(Arc::new(DbErr::Custom(error.to_string()))),
        WriteError::Busy => WriteError::Busy,
        WriteError::Panicked(text) => WriteError::Panicked(text.clone()),
        WriteError::Database(error) => WriteError::Database(Arc::clone(error)),
        WriteError::Closed => WriteError::Closed,
    }
}
