//! One transaction with its time and with the effects that follow its commit.
//!
//! **Invariant:** effects are carried out only after the commit. A log line, a metric or a bell before it would report
//! what may be rolled back.

use futures_util::future::BoxFuture;
use queue::Urgency;
use sea_orm::{DatabaseTransaction, DbErr};

use super::effects::Effects;
use super::preheater::Inner;
use crate::model::errors::StorageError;

pub(crate) struct Step<'t> {
    pub(crate) txn: &'t DatabaseTransaction,
    /// Milliseconds since 1970.
    pub(crate) now: i64,
    pub(crate) effects: Effects,
}

impl Inner {
    /// Runs `work` in one transaction and carries its effects out.
    pub(crate) async fn step<T, F>(&self, urgency: Urgency, work: F) -> Result<T, StorageError>
    where
        F: for<'s, 't> FnOnce(&'s mut Step<'t>) -> BoxFuture<'s, Result<T, DbErr>> + Send + 'static,
        T: Send + 'static,
    {
        let (done, effects) = self.begin_step(urgency, work).await?;
        self.carry_out(&effects);
        Ok(done)
    }

    /// Runs `work` in one transaction. The caller carries the effects out.
    pub(crate) async fn begin_step<T, F>(
        &self,
        urgency: Urgency,
        work: F,
    ) -> Result<(T, Effects), StorageError>
    where
        F: for<'s, 't> FnOnce(&'s mut Step<'t>) -> BoxFuture<'s, Result<T, DbErr>> + Send + 'static,
        T: Send + 'static,
    {
        let now = self.now_ms();
        self.write(urgency, move |txn| {
            Box::pin(async move {
                let effects = Effects::default();
                let mut step = Step { txn, now, effects };
                let done = work(&mut step).await?;
                Ok((done, step.effects))
            })
        })
        .await
    }
}
