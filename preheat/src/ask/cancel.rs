//! Ends an open preheat because somebody says so. Its peers stop within moments; what they have they keep.

use queue::Urgency;
use sea_orm::{DatabaseTransaction, DbErr, EntityTrait};

use crate::ending::end;
use crate::engine::effects::Effects;
use crate::engine::preheater::Preheater;
use crate::look::get::get;
use crate::look::views::PreheatView;
use crate::model::errors::{CancelError, StorageError};
use crate::model::state::{PreheatId, PreheatState};
use crate::rows::preheats;

/// What came of it, within the transaction.
enum Found {
    Nothing,
    Ended(PreheatState),
    Open(Effects),
}

/// Preheats that follow this one go on by themselves. `by` is said to people: a token's name, an address. Answers with
/// the preheat as it stands then.
pub async fn cancel(preheater: &Preheater, id: PreheatId, by: &str) -> Result<PreheatView, CancelError> {
    let inner = &preheater.inner;
    let (now, by) = (inner.now_ms(), by.to_owned());
    let found = inner
        .write(Urgency::Urgent, move |txn| {
            Box::pin(async move { end(txn, id, &by, now).await })
        })
        .await?;
    match found {
        Found::Nothing => Err(CancelError::Unknown(id)),
        Found::Ended(state) => Err(CancelError::AlreadyEnded { id, state }),
        Found::Open(effects) => {
            inner.follow(&effects);
            let view = get(preheater, id).await?;
            view.ok_or(CancelError::Unknown(id))
        }
    }
}

async fn end(txn: &DatabaseTransaction, id: PreheatId, by: &str, now: i64) -> Result<Found, DbErr> {
    let Some(preheat) = preheats::Entity::find_by_id(id).one(txn).await? else {
        return Ok(Found::Nothing);
    };
    if preheat.finished_ms.is_some() {
        return Ok(Found::Ended(PreheatState::of(&preheat.state)));
    }
    let mut effects = Effects::default();
    end::cancel(txn, preheat, by, now, &mut effects).await?;
    Ok(Found::Open(effects))
}

impl From<DbErr> for CancelError {
    fn from(error: DbErr) -> Self {
        Self::Storage(StorageError::from(error))
    }
}
