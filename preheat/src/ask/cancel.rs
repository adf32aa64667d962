//! Cancels an open preheat. Its peers stop within seconds and keep what they have.

use queue::Urgency;
use sea_orm::{DbErr, EntityTrait};

use crate::ending::end;
use crate::engine::preheater::Preheater;
use crate::engine::step::Step;
use crate::look::get::get;
use crate::look::views::PreheatView;
use crate::model::errors::{CancelError, StorageError};
use crate::model::state::{PreheatId, PreheatState};
use crate::rows::preheats;

/// The result of the transaction.
enum CancelOutcome {
    Unknown,
    AlreadyEnded(PreheatState),
    Cancelled,
}

/// Followers of this preheat continue by themselves. `by` is shown to people: the name of a token, an address. Returns
/// the preheat after the change.
pub async fn cancel(preheater: &Preheater, id: PreheatId, by: &str) -> Result<PreheatView, CancelError> {
    let (inner, by) = (&preheater.inner, by.to_owned());
    let found = inner
        .step(Urgency::Urgent, move |step| {
            Box::pin(async move { end_if_open(step, id, &by).await })
        })
        .await?;
    match found {
        CancelOutcome::Unknown => Err(CancelError::Unknown(id)),
        CancelOutcome::AlreadyEnded(state) => Err(CancelError::AlreadyEnded { id, state }),
        CancelOutcome::Cancelled => get(preheater, id).await?.ok_or(CancelError::Unknown(id)),
    }
}

async fn end_if_open(step: &mut Step<'_>, id: PreheatId, by: &str) -> Result<CancelOutcome, DbErr> {
    let Some(preheat) = preheats::Entity::find_by_id(id).one(step.txn).await? else {
        return Ok(CancelOutcome::Unknown);
    };
    if preheat.finished_ms.is_some() {
        return Ok(CancelOutcome::AlreadyEnded(preheat.state()?));
    }
    end::cancel(step, preheat, by).await?;
    Ok(CancelOutcome::Cancelled)
}

impl From<DbErr> for CancelError {
    fn from(error: DbErr) -> Self {
        Self::Storage(StorageError::from(error))
    }
}
