//! The one place where a preheat ends, whatever the reason.
//!
//! **Invariant:** a preheat ends once. Its credential, its remaining work and its lots go in the same transaction, and
//! so does the waiting of those that follow it: each of them ends alike or goes on by itself.

use queue::remove_group;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QuerySelect};
use wire::Side;

use crate::closed::Closed;
use crate::followers::{self, Following};
use crate::ledger::{Effects, Ended, count_in_preheat};
use crate::preheater::{group_of, lane_of, parked_group_of, read_uuid};
use crate::rows::{lots, preheats};
use crate::tell::tell;
use crate::verdict::{Verdict, cut};
use crate::webhook::WebhookEvent;
use crate::{credentials, stage};

/// Ends a preheat before its placements did: what is open fails with this reason.
pub(crate) async fn fail(
    txn: &impl ConnectionTrait,
    preheat: preheats::Model,
    reason: &str,
    side: Side,
    now: i64,
    effects: &mut Effects,
) -> Result<(), DbErr> {
    let verdict = failed(reason, side);
    let following = followers::after(&verdict);
    stop(txn, preheat, (verdict, following), reason, now, effects).await
}

/// Its own time is over; those that follow it may have more.
pub(crate) async fn run_out(
    txn: &impl ConnectionTrait,
    preheat: preheats::Model,
    reason: &str,
    side: Side,
    now: i64,
    effects: &mut Effects,
) -> Result<(), DbErr> {
    let ending = (failed(reason, side), Following::GoesOn);
    stop(txn, preheat, ending, reason, now, effects).await
}

fn failed(reason: &str, side: Side) -> Verdict {
    Verdict::Failed {
        reason: cut(reason),
        side,
    }
}

/// Somebody wants no more of it.
pub(crate) async fn cancel(
    txn: &impl ConnectionTrait,
    preheat: preheats::Model,
    by: &str,
    now: i64,
    effects: &mut Effects,
) -> Result<(), DbErr> {
    let reason = format!("cancelled by {by}");
    let verdict = Verdict::Cancelled { by: cut(by) };
    stop(txn, preheat, (verdict, Following::GoesOn), &reason, now, effects).await
}

async fn stop(
    txn: &impl ConnectionTrait,
    preheat: preheats::Model,
    (verdict, following): (Verdict, Following),
    reason: &str,
    now: i64,
    effects: &mut Effects,
) -> Result<(), DbErr> {
    let side = verdict.side().unwrap_or(Side::Caller);
    tell_who_works_on(txn, preheat.id, effects).await?;
    stage::fail_open_placements(txn, &preheat, reason, side).await?;
    let open = Closed::failed(preheat.placements_open, side);
    count_in_preheat(txn, preheat.id, open, now).await?;
    effects.note(preheat.id, open);
    end_with(txn, preheat, verdict, following, now, effects).await
}

/// Peers that have taken some of it are rung: their next answer says that it is withdrawn.
async fn tell_who_works_on(
    txn: &impl ConnectionTrait,
    preheat: i64,
    effects: &mut Effects,
) -> Result<(), DbErr> {
    let peers: Vec<String> = lots::Entity::find()
        .select_only()
        .column(lots::Column::PeerId)
        .distinct()
        .filter(lots::Column::PreheatId.eq(preheat))
        .filter(lots::Column::Open.gt(0))
        .filter(lots::Column::Session.is_not_null())
        .into_tuple()
        .all(txn)
        .await?;
    effects
        .lanes
        .extend(peers.iter().map(|peer| lane_of(read_uuid(peer))));
    Ok(())
}

/// Nothing of it is open any more.
pub(crate) async fn end(
    txn: &impl ConnectionTrait,
    preheat: preheats::Model,
    verdict: Verdict,
    now: i64,
    effects: &mut Effects,
) -> Result<(), DbErr> {
    let following = followers::after(&verdict);
    end_with(txn, preheat, verdict, following, now, effects).await
}

async fn end_with(
    txn: &impl ConnectionTrait,
    mut preheat: preheats::Model,
    verdict: Verdict,
    following: Following,
    now: i64,
    effects: &mut Effects,
) -> Result<(), DbErr> {
    let ended = ending(&verdict, now)
        .filter(preheats::Column::Id.eq(preheat.id))
        .exec(txn)
        .await?;
    if ended.rows_affected == 0 {
        return Ok(());
    }
    let id = preheat.id;
    clear_away(txn, id).await?;
    preheat.finished_ms = Some(now);
    tell(txn, &preheat, WebhookEvent::Ended, now, effects).await?;
    effects.ended.push(Ended {
        preheat,
        verdict: verdict.clone(),
    });
    match following {
        Following::EndsAlike => followers::end_alike(txn, id, &verdict, now, effects).await,
        Following::GoesOn => followers::release(txn, id, now, effects).await,
    }
}

/// What changes in the row of a preheat that is open.
pub(crate) fn ending(verdict: &Verdict, now: i64) -> sea_orm::UpdateMany<preheats::Entity> {
    use preheats::Column;
    let none = || Expr::value(None::<i64>);
    preheats::Entity::update_many()
        .col_expr(Column::State, Expr::value(verdict.state().word()))
        .col_expr(Column::Reason, Expr::value(verdict.reason()))
        .col_expr(Column::Side, Expr::value(verdict.side().map(Side::word)))
        .col_expr(Column::UpdatedMs, Expr::value(now))
        .col_expr(Column::FinishedMs, Expr::value(now))
        .col_expr(Column::Credential, Expr::value(None::<String>))
        .col_expr(Column::DeadlineMs, none())
        .col_expr(Column::NoSeedDeadlineMs, none())
        .col_expr(Column::SeedCheckMs, none())
        .filter(Column::FinishedMs.is_null())
}

/// Removes credential, work and lots of a preheat.
pub(crate) async fn clear_away(txn: &impl ConnectionTrait, preheat: i64) -> Result<(), DbErr> {
    credentials::forget(txn, preheat).await?;
    let of_preheat = lots::Column::PreheatId.eq(preheat);
    let clusters: Vec<i64> = lots::Entity::find()
        .select_only()
        .column(lots::Column::ClusterId)
        .distinct()
        .filter(of_preheat.clone())
        .filter(lots::Column::Stage.gt(0))
        .into_tuple()
        .all(txn)
        .await?;
    for cluster in clusters {
        remove_group(txn, &parked_group_of(preheat, cluster)).await?;
    }
    remove_group(txn, &group_of(preheat)).await?;
    lots::Entity::delete_many()
        .filter(of_preheat)
        .exec(txn)
        .await
        .map(drop)
}
