//! Starts an ended preheat again under its own id. Its peers verify from their stores what they have, so only missing
//! objects move.
//!
//! **Invariant:** the rows of the previous attempt are removed in the transaction that begins the next one; its
//! followers keep them.

use oci::Credential;
use queue::{Urgency, enqueue};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter};

use crate::ending::clear::clear_away;
use crate::ending::followers::hand_over;
use crate::engine::preheater::{Inner, Preheater};
use crate::engine::step::Step;
use crate::engine::submission::{SealedCredential, seal};
use crate::engine::work::{MANAGER_LANE, RESOLVE, work_of_manager};
use crate::look::get::get;
use crate::look::views::PreheatView;
use crate::model::errors::{RetryError, StorageError};
use crate::model::limits::milliseconds;
use crate::model::state::{PreheatId, PreheatState};
use crate::model::webhook::WebhookEvent;
use crate::rows::{credentials, preheats};
use crate::tell::notices::notify;

/// A preheat whose request had a credential needs a new one, or a configured one for the registry: the old one was
/// deleted. Returns the preheat after the change.
pub async fn retry(
    preheater: &Preheater,
    id: PreheatId,
    credential: Option<Credential>,
    by: &str,
) -> Result<PreheatView, RetryError> {
    let inner = &preheater.inner;
    let sealed = seal(&inner.secrets, credential.as_ref())?;
    let preheat = preheats::Entity::find_by_id(id)
        .one(inner.reads())
        .await
        .map_err(crate::StorageError::from)?
        .ok_or(RetryError::Unknown(id))?;
    check(inner, &preheat, sealed.is_some())?;
    let limit = inner.limits.of_preheat(preheat.asked_limit());
    let tells = inner.webhooks.tells();
    let begun = inner
        .step(Urgency::Urgent, move |step| {
            Box::pin(begin(step, preheat, sealed, tells, milliseconds(limit)))
        })
        .await?;
    let view = get(preheater, id).await?.ok_or(RetryError::Unknown(id))?;
    if !begun {
        let state = view.state;
        return Err(RetryError::NotFailed { id, state });
    }
    tracing::info!(
        stoker.preheat = id,
        stoker.image = view.image,
        stoker.attempt = view.attempt,
        stoker.by = by,
        "preheat {id} of {} is tried again",
        view.image
    );
    Ok(view)
}

fn may_be_retried(state: PreheatState) -> bool {
    matches!(state, PreheatState::Failed | PreheatState::Cancelled)
}

fn check(inner: &Inner, preheat: &preheats::Model, has_credential: bool) -> Result<(), RetryError> {
    let (id, state) = (preheat.id, preheat.state().map_err(StorageError::from)?);
    if !may_be_retried(state) {
        return Err(RetryError::NotFailed { id, state });
    }
    if has_credential || !preheat.had_credential || preheat.public {
        return Ok(());
    }
    let configured = preheat
        .registry
        .parse()
        .ok()
        .and_then(|registry| crate::engine::credentials::configured(inner, &registry));
    match configured {
        Some(_) => Ok(()),
        None => Err(RetryError::NoCredential {
            id,
            registry: preheat.registry.clone(),
        }),
    }
}

/// Returns `false` when another request has begun the attempt meanwhile.
async fn begin(
    step: &mut Step<'_>,
    mut preheat: preheats::Model,
    sealed: Option<SealedCredential>,
    tells: Option<String>,
    limit_ms: i64,
) -> Result<bool, DbErr> {
    let (txn, now) = (step.txn, step.now);
    let name = sealed.as_ref().map(|sealed| sealed.name.clone());
    preheat.tells = tells;
    let begun = anew(name, now, now + limit_ms)
        .col_expr(preheats::Column::Tells, Expr::value(preheat.tells.clone()))
        .filter(preheats::Column::Id.eq(preheat.id))
        .filter(preheats::Column::Attempt.eq(preheat.attempt))
        .filter(preheats::Column::FinishedMs.is_not_null())
        .exec(txn)
        .await?;
    if begun.rows_affected == 0 {
        return Ok(false);
    }
    clear_away(txn, preheat.id).await?;
    hand_over(txn, preheat.id).await?;
    if let Some(sealed) = sealed {
        let row = sealed.row(preheat.id);
        credentials::Entity::insert(row)
            .exec_without_returning(txn)
            .await?;
    }
    enqueue(txn, &work_of_manager(RESOLVE, &preheat, now), now).await?;
    step.effects.lanes.push(MANAGER_LANE.to_owned());
    notify(step, &preheat, WebhookEvent::Retried).await?;
    Ok(true)
}

/// Returns the update that resets the row to a new request.
fn anew(credential: Option<String>, now: i64, deadline: i64) -> sea_orm::UpdateMany<preheats::Entity> {
    use preheats::Column;
    let brings = credential.is_some();
    let mut update = preheats::Entity::update_many()
        .col_expr(Column::State, Expr::value(PreheatState::Waiting.word()))
        .col_expr(Column::Public, Expr::value(false))
        .col_expr(Column::Credential, Expr::value(credential))
        .col_expr(Column::Attempt, Expr::col(Column::Attempt).add(1))
        .col_expr(Column::UpdatedMs, Expr::value(now))
        .col_expr(Column::RetriedMs, Expr::value(now))
        .col_expr(Column::DeadlineMs, Expr::value(deadline));
    if brings {
        update = update.col_expr(Column::HadCredential, Expr::value(true));
    }
    let texts = [
        Column::Reason,
        Column::Side,
        Column::Digest,
        Column::MediaType,
        Column::ToleratedAbsent,
        Column::ShareKey,
        Column::Notes,
    ];
    let numbers = [Column::FinishedMs, Column::ResolvedMs, Column::Follows];
    let counts = [
        Column::ObjectsTotal,
        Column::ImageBytes,
        Column::BytesTotal,
        Column::BytesDone,
        Column::PlacementsTotal,
        Column::PlacementsOpen,
        Column::PlacementsVerified,
        Column::PlacementsFailed,
        Column::PlacementsLeft,
    ];
    for column in texts {
        update = update.col_expr(column, Expr::value(None::<String>));
    }
    for column in numbers {
        update = update.col_expr(column, Expr::value(None::<i64>));
    }
    counts.into_iter().fold(update, |update, column| {
        update.col_expr(column, Expr::value(0_i64))
    })
}
