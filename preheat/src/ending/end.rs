//! The one place where a preheat ends, whatever the reason.
//!
//! **Invariant:** a preheat ends once. Its credential, its remaining work and its lots go in the same transaction, and
//! so does the waiting of those that follow it: each of them ends alike or goes on by itself.

use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QuerySelect};
use wire::Side;

use super::clear::{clear_away, ending};
use super::followers;
use super::followers::Following;
use crate::engine::effects::{Effects, Ended};
use crate::engine::work::lane_of;
use crate::lots::counts::count_in_preheat;
use crate::lots::stage;
use crate::model::closed::Closed;
use crate::model::text::cut;
use crate::model::verdict::Verdict;
use crate::model::webhook::WebhookEvent;
use crate::rows::{lots, preheats, read_uuid};
use crate::tell::notices::tell;

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
