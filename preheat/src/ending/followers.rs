//! Followers: preheats that wait for the result of an equal one, their leader.
//!
//! **Invariant:** a follower has no work, no objects and no placements of its own. When its leader ends, it ends in
//! the same transaction or gets work of its own.

use queue::enqueue_all;
use sea_orm::sea_query::{Expr, SimpleExpr};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder};
use wire::Side;

use super::clear::{clear_away, ending};
use crate::engine::effects::Ended;
use crate::engine::step::Step;
use crate::engine::work::{MANAGER_LANE, RESOLVE, work_of_manager};
use crate::model::state::PreheatState;
use crate::model::verdict::Verdict;
use crate::model::webhook::WebhookEvent;
use crate::rows::{VALUES_AT_ONCE, objects, placements, preheats};
use crate::tell::notices::notify;

/// The effect of the end of a leader on its followers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Following {
    EndsAlike,
    GoesOn,
}

/// A failure of the leader's caller, or its cancellation, does not fail the followers.
pub(crate) fn after(verdict: &Verdict) -> Following {
    match verdict {
        Verdict::Cancelled { .. }
        | Verdict::Failed {
            side: Side::Caller, ..
        } => Following::GoesOn,
        Verdict::Succeeded | Verdict::Failed { .. } => Following::EndsAlike,
    }
}

async fn open_followers(txn: &impl ConnectionTrait, leader: i64) -> Result<Vec<preheats::Model>, DbErr> {
    preheats::Entity::find()
        .filter(preheats::Column::Follows.eq(leader))
        .filter(preheats::Column::FinishedMs.is_null())
        .order_by_asc(preheats::Column::Id)
        .all(txn)
        .await
}

/// Ends them as their leader has ended, with all that it counts.
pub(crate) async fn end_alike(step: &mut Step<'_>, leader: i64, verdict: &Verdict) -> Result<(), DbErr> {
    let mut leaders = vec![leader];
    while let Some(next) = leaders.pop() {
        let followers = open_followers(step.txn, next).await?;
        if followers.is_empty() {
            continue;
        }
        let Some(ended) = preheats::Entity::find_by_id(next).one(step.txn).await? else {
            continue;
        };
        alike(step.txn, &ended, verdict, step.now).await?;
        for mut preheat in followers {
            clear_away(step.txn, preheat.id).await?;
            leaders.push(preheat.id);
            preheat.finished_ms = Some(step.now);
            notify(step, &preheat, WebhookEvent::Ended).await?;
            let verdict = verdict.clone();
            step.effects.ended.push(Ended { preheat, verdict });
        }
    }
    Ok(())
}

async fn alike(
    txn: &impl ConnectionTrait,
    leader: &preheats::Model,
    verdict: &Verdict,
    now: i64,
) -> Result<(), DbErr> {
    use preheats::Column;
    let number = Expr::value::<i64>;
    ending(verdict, now)
        .col_expr(Column::Digest, Expr::value(leader.digest.clone()))
        .col_expr(Column::MediaType, Expr::value(leader.media_type.clone()))
        .col_expr(Column::Public, Expr::value(leader.public))
        .col_expr(Column::ObjectsTotal, number(leader.objects_total))
        .col_expr(Column::ImageBytes, number(leader.image_bytes))
        .col_expr(Column::BytesTotal, number(leader.bytes_total))
        .col_expr(Column::BytesDone, number(leader.bytes_done))
        .col_expr(Column::PlacementsTotal, number(leader.placements_total))
        .col_expr(Column::PlacementsOpen, number(leader.placements_open))
        .col_expr(Column::PlacementsVerified, number(leader.placements_verified))
        .col_expr(Column::PlacementsFailed, number(leader.placements_failed))
        .col_expr(Column::PlacementsLeft, number(leader.placements_left))
        .filter(Column::Follows.eq(leader.id))
        .exec(txn)
        .await
        .map(drop)
}

/// Releases the followers: each is resolved again, and the first of them leads the others.
pub(crate) async fn release(step: &mut Step<'_>, leader: i64) -> Result<(), DbErr> {
    use preheats::Column;
    let followers = open_followers(step.txn, leader).await?;
    if followers.is_empty() {
        return Ok(());
    }
    for some in followers.chunks(VALUES_AT_ONCE) {
        preheats::Entity::update_many()
            .col_expr(Column::Follows, Expr::value(None::<i64>))
            .col_expr(Column::ShareKey, Expr::value(None::<String>))
            .col_expr(Column::State, Expr::value(PreheatState::Waiting.word()))
            .col_expr(Column::UpdatedMs, Expr::value(step.now))
            .filter(Column::Id.is_in(some.iter().map(|row| row.id)))
            .exec(step.txn)
            .await?;
    }
    let work: Vec<_> = followers
        .iter()
        .map(|row| work_of_manager(RESOLVE, row, step.now))
        .collect();
    enqueue_all(step.txn, &work, step.now).await?;
    step.effects.lanes.push(MANAGER_LANE.to_owned());
    Ok(())
}

/// The preheat is about to begin anew. Its objects and placements stay with those that ended with it, under the newest
/// of them; without any they go.
pub(crate) async fn hand_over(txn: &impl ConnectionTrait, leader: i64) -> Result<(), DbErr> {
    let heir = preheats::Entity::find()
        .filter(preheats::Column::Follows.eq(leader))
        .order_by_desc(preheats::Column::Id)
        .one(txn)
        .await?;
    let Some(heir) = heir else {
        return drop_rows(txn, leader).await;
    };
    objects::Entity::update_many()
        .col_expr(objects::Column::PreheatId, Expr::value(heir.id))
        .filter(objects::Column::PreheatId.eq(leader))
        .exec(txn)
        .await?;
    placements::Entity::update_many()
        .col_expr(placements::Column::PreheatId, Expr::value(heir.id))
        .filter(placements::Column::PreheatId.eq(leader))
        .exec(txn)
        .await?;
    follow(txn, preheats::Column::Follows.eq(leader), Some(heir.id)).await?;
    follow(txn, preheats::Column::Id.eq(heir.id), None).await
}

async fn follow(txn: &impl ConnectionTrait, who: SimpleExpr, leader: Option<i64>) -> Result<(), DbErr> {
    preheats::Entity::update_many()
        .col_expr(preheats::Column::Follows, Expr::value(leader))
        .filter(who)
        .exec(txn)
        .await
        .map(drop)
}

async fn drop_rows(txn: &impl ConnectionTrait, preheat: i64) -> Result<(), DbErr> {
    objects::Entity::delete_many()
        .filter(objects::Column::PreheatId.eq(preheat))
        .exec(txn)
        .await?;
    placements::Entity::delete_many()
        .filter(placements::Column::PreheatId.eq(preheat))
        .exec(txn)
        .await
        .map(drop)
}
