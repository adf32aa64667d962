//! Performs one claimed work item and settles it, whatever the result.
//!
//! **Invariant:** while the holder lives, a claimed work item gets settled. The settlement is retried until the database
//! accepts it, because nothing else would return the item.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use sea_orm::DbErr;

use crate::backoff::Backoff;
use crate::claim::Claimed;
use crate::clock::Clock;
use crate::database::Database;
use crate::entry::{WriteError, panic_text};
use crate::work::{complete, release, retry_later};
use crate::writer::Urgency;

/// What happens next to a work item that did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Retry with backoff, until the attempts are used up.
    Retry(String),
    /// The same, but not before this delay.
    RetryAfter(String, Duration),
    /// Not a failure but too early: retry after this delay; the attempt does not count.
    Later(Duration),
    /// A retry would not help.
    GiveUp(String),
}

/// Performs the work items of a lane.
#[async_trait]
pub trait Perform: Send + Sync {
    /// Performs a work item. To write results, call [`complete`] in the same transaction; otherwise the worker removes
    /// the item after `Ok`.
    async fn perform(&self, claimed: &Claimed) -> Result<(), Failure>;

    /// Records why a work item is given up; call [`complete`] in the same transaction. After an `Err` this is called
    /// again later.
    async fn gave_up(&self, claimed: &Claimed, reason: &str) -> Result<(), Failure>;
}

/// How the row is settled.
enum Settlement {
    Done,
    Again { run_at_ms: i64, error: String },
    Untried { run_at_ms: i64 },
}

/// What the performers of a lane share.
pub(crate) struct Performer {
    pub(crate) db: Database,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) perform: Arc<dyn Perform>,
    pub(crate) backoff: Backoff,
    pub(crate) max_attempts: i32,
}

impl Performer {
    pub(crate) async fn run(&self, claimed: Claimed) {
        let settlement = match self.outcome(&claimed).await {
            Ok(()) => Settlement::Done,
            Err(failure) => self.after(&claimed, failure).await,
        };
        self.settle(&claimed, &settlement).await;
    }

    async fn outcome(&self, claimed: &Claimed) -> Result<(), Failure> {
        if claimed.attempt > self.max_attempts {
            // The program died in each attempt, or giving up failed the last time.
            let last = claimed
                .last_error
                .as_deref()
                .unwrap_or("the program ended in each attempt");
            return Err(Failure::GiveUp(last.to_owned()));
        }
        caught(self.perform.perform(claimed)).await
    }

    async fn after(&self, claimed: &Claimed, failure: Failure) -> Settlement {
        let (error, at_least) = match failure {
            Failure::Later(after) => {
                return Settlement::Untried {
                    run_at_ms: self.in_time(after),
                };
            }
            Failure::GiveUp(reason) => return self.give_up(claimed, &reason).await,
            Failure::Retry(error) => (error, Duration::ZERO),
            Failure::RetryAfter(error, at_least) => (error, at_least),
        };
        if claimed.attempt >= self.max_attempts {
            return self.give_up(claimed, &error).await;
        }
        self.again(claimed, error, at_least)
    }

    async fn give_up(&self, claimed: &Claimed, reason: &str) -> Settlement {
        tracing::warn!(
            stoker.work = claimed.id,
            stoker.work_kind = claimed.kind,
            reason,
            "work item given up"
        );
        match caught(self.perform.gave_up(claimed, reason)).await {
            Ok(()) => Settlement::Done,
            Err(failure) => {
                tracing::error!(stoker.work = claimed.id, ?failure, "giving up a work item failed");
                self.again(claimed, reason.to_owned(), Duration::ZERO)
            }
        }
    }

    fn again(&self, claimed: &Claimed, error: String, at_least: Duration) -> Settlement {
        let attempt = u32::try_from(claimed.attempt).unwrap_or(1);
        let run_at_ms = self.in_time(self.backoff.drawn(attempt).max(at_least));
        tracing::debug!(
            stoker.work = claimed.id,
            stoker.work_kind = claimed.kind,
            stoker.attempt = attempt,
            error,
            "work item will be retried"
        );
        Settlement::Again { run_at_ms, error }
    }

    fn in_time(&self, after: Duration) -> i64 {
        self.clock
            .now_ms()
            .saturating_add(i64::try_from(after.as_millis()).unwrap_or(i64::MAX))
    }

    async fn settle(&self, claimed: &Claimed, settlement: &Settlement) {
        let pauses = Backoff {
            first: Duration::from_millis(100),
            most: Duration::from_secs(5),
        };
        for attempt in 1.. {
            let Err(error) = self.write(claimed, settlement).await else {
                return;
            };
            if matches!(error, WriteError::Closed) {
                return;
            }
            tracing::warn!(stoker.work = claimed.id, %error, "work item not settled, retrying");
            tokio::time::sleep(pauses.drawn(attempt)).await;
        }
    }

    async fn write(&self, claimed: &Claimed, settlement: &Settlement) -> Result<bool, WriteError<DbErr>> {
        let (id, fence, holder) = (claimed.id, claimed.fence, claimed.holder);
        match settlement {
            Settlement::Done => {
                self.db
                    .write(Urgency::Background, move |txn| {
                        Box::pin(complete(txn, id, fence, holder))
                    })
                    .await
            }
            Settlement::Untried { run_at_ms } => {
                let at = *run_at_ms;
                self.db
                    .write(Urgency::Background, move |txn| {
                        Box::pin(release(txn, id, fence, holder, at))
                    })
                    .await
            }
            Settlement::Again { run_at_ms, error } => {
                let (at, error) = (*run_at_ms, error.clone());
                self.db
                    .write(Urgency::Background, move |txn| {
                        Box::pin(async move { retry_later(txn, id, fence, holder, at, &error).await })
                    })
                    .await
            }
        }
    }
}

/// Turns a panic into a failure of this work item.
async fn caught(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    match AssertUnwindSafe(work).catch_unwind().await {
        Ok(outcome) => outcome,
        Err(panic) => Err(Failure::Retry(format!("panic: {}", panic_text(panic.as_ref())))),
    }
}
