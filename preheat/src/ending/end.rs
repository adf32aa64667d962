//! The one place where a preheat ends, whatever the reason.
//!
//! **Invariant:** a preheat ends once. Its credential, its remaining work and its lots are removed in the same
//! transaction, and each of its followers ends alike or gets work of its own.

use std::collections::BTreeSet;

use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter};
use uuid::Uuid;
use wire::Side;

use super::clear::{clear_away, ending};
use super::followers;
use super::followers::Following;
use crate::engine::effects::Ended;
use crate::engine::step::Step;
use crate::engine::work::lane_of;
use crate::lots::counts::count_in_preheat;
use crate::lots::stage;
use crate::model::closed::Closed;
use crate::model::text::cut;
use crate::model::verdict::Verdict;
use crate::model::webhook::WebhookEvent;
use crate::rows::damaged::or_skip;
use crate::rows::{lots, preheats};
use crate::tell::notices::notify;

/// Ends a preheat before its placements ended: open ones fail with this reason.
pub(crate) async fn fail(
    step: &mut Step<'_>,
    preheat: preheats::Model,
    reason: &str,
    side: Side,
) -> Result<(), DbErr> {
    let verdict = failed(reason, side);
    let following = followers::after(&verdict);
    stop(step, preheat, (verdict, following), reason).await
}

/// Fails a preheat at its own time limit; its followers may have more time.
pub(crate) async fn run_out(
    step: &mut Step<'_>,
    preheat: preheats::Model,
    reason: &str,
    side: Side,
) -> Result<(), DbErr> {
    let ending = (failed(reason, side), Following::GoesOn);
    stop(step, preheat, ending, reason).await
}

fn failed(reason: &str, side: Side) -> Verdict {
    Verdict::Failed {
        reason: cut(reason),
        side,
    }
}

/// Cancels the preheat.
pub(crate) async fn cancel(step: &mut Step<'_>, preheat: preheats::Model, by: &str) -> Result<(), DbErr> {
    let reason = format!("cancelled by {by}");
    let verdict = Verdict::Cancelled { by: cut(by) };
    stop(step, preheat, (verdict, Following::GoesOn), &reason).await
}

async fn stop(
    step: &mut Step<'_>,
    preheat: preheats::Model,
    (verdict, following): (Verdict, Following),
    reason: &str,
) -> Result<(), DbErr> {
    let side = verdict.side().unwrap_or(Side::Caller);
    wake_peers_with_lots(step, preheat.id).await?;
    stage::fail_open_placements(step.txn, &preheat, reason, side).await?;
    let open = Closed::failed(preheat.placements_open, side);
    count_in_preheat(step.txn, preheat.id, open, step.now).await?;
    step.effects.note(preheat.id, open);
    end_with(step, preheat, verdict, following).await
}

/// Wakes the peers that have taken lots of it: their next long poll reports them as withdrawn.
async fn wake_peers_with_lots(step: &mut Step<'_>, preheat: i64) -> Result<(), DbErr> {
    let taken = lots::Entity::find()
        .filter(lots::Column::PreheatId.eq(preheat))
        .filter(lots::Column::Open.gt(0))
        .filter(lots::Column::Session.is_not_null())
        .all(step.txn)
        .await?;
    let peers: BTreeSet<Uuid> = taken.iter().filter_map(|lot| or_skip(lot.peer())).collect();
    step.effects.lanes.extend(peers.into_iter().map(lane_of));
    Ok(())
}

/// Ends a preheat of which no placement is open.
pub(crate) async fn end(
    step: &mut Step<'_>,
    preheat: preheats::Model,
    verdict: Verdict,
) -> Result<(), DbErr> {
    let following = followers::after(&verdict);
    end_with(step, preheat, verdict, following).await
}

async fn end_with(
    step: &mut Step<'_>,
    mut preheat: preheats::Model,
    verdict: Verdict,
    following: Following,
) -> Result<(), DbErr> {
    let ended = ending(&verdict, step.now)
        .filter(preheats::Column::Id.eq(preheat.id))
        .exec(step.txn)
        .await?;
    if ended.rows_affected == 0 {
        return Ok(());
    }
    let id = preheat.id;
    clear_away(step.txn, id).await?;
    preheat.finished_ms = Some(step.now);
    notify(step, &preheat, WebhookEvent::Ended).await?;
    step.effects.ended.push(Ended {
        preheat,
        verdict: verdict.clone(),
    });
    match following {
        Following::EndsAlike => followers::end_alike(step, id, &verdict).await,
        Following::GoesOn => followers::release(step, id).await,
    }
}
