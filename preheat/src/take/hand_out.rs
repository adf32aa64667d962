//! Hands lots to a peer on its long poll.
//!
//! **Invariant:** claiming a lot and storing its session is one transaction. A lot whose response was lost is handed
//! out again under the same fence, until the peer has confirmed it.

use std::sync::Arc;
use std::time::Duration;

use queue::{ClaimError, Claimed, Urgency, WriteError, claim_within, complete};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, Condition, DatabaseTransaction, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QuerySelect,
};
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;
use wire::{Lot, TakeRequest, TakeResponse};

use super::orders;
use super::progress::withdrawn;
use crate::engine::preheater::{Inner, Preheater};
use crate::engine::work::lane_of;
use crate::image_rules;
use crate::lots::stage;
use crate::memory::sessions::SessionPeer;
use crate::model::errors::{SessionError, StorageError};
use crate::model::limits::milliseconds;
use crate::peers::{neighbourhood, removals, sessions};
use crate::rows::lots;

/// Lots that one call hands out at most.
const LOTS_AT_ONCE: u32 = 64;

/// Waits until there is work or a question for the peer, or news of its surroundings, or the wait is over. Renews the
/// lease.
pub async fn take(
    preheater: &Preheater,
    session: Uuid,
    request: TakeRequest,
) -> Result<TakeResponse, SessionError> {
    let inner = &preheater.inner;
    let mut peer = sessions::renewed(inner, session).await?;
    let mut ear = inner.bell.listen(&lane_of(peer.id));
    let end = Instant::now() + Duration::from_millis(request.wait_ms).min(inner.limits.take_wait);
    loop {
        let lots = lots_for(inner, session, &peer, request.at_most.min(LOTS_AT_ONCE)).await?;
        let around = neighbourhood::current(inner, peer.cluster_id).await?;
        let news = (around.version != request.neighbourhood_version).then(|| Arc::unwrap_or_clone(around));
        let questions = inner.questions.hand_out(peer.id, session);
        let withdrawn = withdrawn(inner.reads(), session, &request.working_on).await?;
        let images = image_rules::news(inner, request.images.as_ref()).await?;
        let removals = removals::news(inner, request.removals).await?;
        let has_news = news.is_some()
            || images.is_some()
            || removals.is_some()
            || !questions.is_empty()
            || !withdrawn.is_empty();
        if !lots.is_empty() || has_news || Instant::now() >= end {
            return Ok(TakeResponse {
                lots,
                neighbourhood: news,
                questions,
                withdrawn,
                images,
                removals,
            });
        }
        let look_again = (Instant::now() + inner.limits.session_lease / 3).min(end);
        tokio::select! {
            () = ear.rung() => {}
            () = sleep_until(look_again) => {}
        }
        peer = sessions::renewed(inner, session).await?;
    }
}

async fn lots_for(
    inner: &Inner,
    session: Uuid,
    peer: &SessionPeer,
    at_most: u32,
) -> Result<Vec<Lot>, SessionError> {
    let now = inner.now_ms();
    let lost_before = now - milliseconds(inner.limits.redeliver_after);
    if at_most == 0 || !may_have_work(inner, session, peer.id, lost_before).await? {
        return Ok(Vec::new());
    }
    let lane = lane_of(peer.id);
    let taken = inner
        .db
        .write(Urgency::Background, move |txn| {
            Box::pin(async move {
                let mut taken = redelivered(txn, session, lost_before, now, at_most).await?;
                let room = (at_most as usize).saturating_sub(taken.len());
                for claimed in claim_within(txn, &lane, session, room, now).await? {
                    taken.extend(take_lot(txn, session, &claimed, now).await?);
                }
                Ok(taken)
            })
        })
        .await;
    match taken {
        Ok(taken) => Ok(orders::lots(inner, peer, taken).await?),
        Err(WriteError::Refused(ClaimError::HolderEnded)) => {
            inner.sessions.forget(session);
            Err(SessionError::Ended)
        }
        Err(other) => Err(storage(other).into()),
    }
}

fn storage(error: WriteError<ClaimError>) -> StorageError {
    let as_database = |refusal| match refusal {
        ClaimError::Database(error) => error,
        ClaimError::HolderEnded => DbErr::Custom(ClaimError::HolderEnded.to_string()),
    };
    error.map_refusal(as_database).into()
}

/// A look that costs no write: lots of this peer that it does not surely have.
async fn may_have_work(inner: &Inner, session: Uuid, peer: Uuid, lost_before: i64) -> Result<bool, DbErr> {
    let not_ours = Condition::any()
        .add(lots::Column::Session.is_null())
        .add(lots::Column::Session.ne(session.to_string()))
        .add(lost(lost_before));
    let found = lots::Entity::find()
        .filter(lots::Column::PeerId.eq(peer.to_string()))
        .filter(not_ours)
        .limit(1)
        .count(inner.reads())
        .await?;
    Ok(found > 0)
}

fn lost(lost_before: i64) -> Condition {
    Condition::all()
        .add(lots::Column::Confirmed.eq(false))
        .add(lots::Column::TakenMs.lte(lost_before))
}

/// Lots of this session that never seem to have reached the peer.
async fn redelivered(
    txn: &DatabaseTransaction,
    session: Uuid,
    lost_before: i64,
    now: i64,
    at_most: u32,
) -> Result<Vec<lots::Model>, DbErr> {
    let again = lots::Entity::find()
        .filter(lots::Column::Session.eq(session.to_string()))
        .filter(lost(lost_before))
        .filter(lots::Column::Open.gt(0))
        .limit(u64::from(at_most))
        .all(txn)
        .await?;
    for lot in &again {
        lots::Entity::update_many()
            .col_expr(lots::Column::TakenMs, Expr::value(now))
            .filter(lots::Column::WorkId.eq(lot.work_id))
            .exec(txn)
            .await?;
    }
    Ok(again)
}

/// Writes the session into the lot. Returns none when nothing of the lot is open; its work is completed then.
async fn take_lot(
    txn: &DatabaseTransaction,
    session: Uuid,
    claimed: &Claimed,
    now: i64,
) -> Result<Option<lots::Model>, DbErr> {
    let lot = lots::Entity::find_by_id(claimed.id).one(txn).await?;
    let Some(mut lot) = lot.filter(|lot| lot.open > 0) else {
        complete(txn, claimed.id, claimed.fence, session).await?;
        return Ok(None);
    };
    if !lot.expanded {
        stage::expand(txn, &lot).await?;
    }
    lots::Entity::update_many()
        .col_expr(lots::Column::Session, Expr::value(session.to_string()))
        .col_expr(lots::Column::Fence, Expr::value(claimed.fence))
        .col_expr(lots::Column::TakenMs, Expr::value(now))
        .col_expr(lots::Column::Confirmed, Expr::value(false))
        .col_expr(lots::Column::Expanded, Expr::value(true))
        .filter(lots::Column::WorkId.eq(lot.work_id))
        .exec(txn)
        .await?;
    (lot.fence, lot.expanded) = (Some(claimed.fence), true);
    Ok(Some(lot))
}
