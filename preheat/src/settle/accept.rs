//! Accepts settlements from peers. One transaction closes the placements, counts them, and ends the preheat with the
//! last one.
//!
//! **Invariant:** a settlement counts once, and only from the session that holds the lot with its present fence. A
//! repeated settlement is acknowledged and changes nothing; one with an old fence changes nothing and is reported as
//! stale.

use std::collections::BTreeMap;

use queue::{Urgency, complete, holds};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter};
use uuid::Uuid;
use wire::{PlacementOutcome, SettleRequest, SettleResponse, Settlement};

use super::ledger;
use super::spans::Spans;
use crate::engine::preheater::Preheater;
use crate::engine::step::Step;
use crate::model::closed::{Closed, ClosedByPreheat};
use crate::model::errors::SessionError;
use crate::model::text::cut;
use crate::peers::sessions;
use crate::rows::placements::{FAILED, OPEN, VERIFIED};
use crate::rows::{lots, objects, placements, stored_size};

/// The outcomes of one lot: work item, fence, and the outcome of each digest.
type OutcomesByLot = BTreeMap<(i64, i64), Vec<(String, PlacementOutcome)>>;

pub async fn settle(
    preheater: &Preheater,
    session: Uuid,
    request: SettleRequest,
) -> Result<SettleResponse, SessionError> {
    let inner = &preheater.inner;
    let peer = sessions::live(inner, session).await?;
    let by_lot = by_lot(request.settled);
    let works: Vec<i64> = by_lot.keys().map(|(work, _)| *work).collect();
    let spans = Spans::open(inner, &peer.name, &works).await?;
    let (accepted, effects) = inner
        .begin_step(Urgency::Urgent, move |step| {
            Box::pin(settle_lots(step, session, by_lot))
        })
        .await?;
    spans.record(&accepted.settled);
    spans.within(|| inner.carry_out(&effects));
    Ok(SettleResponse {
        stale: accepted.stale,
    })
}

/// The changes of one call.
#[derive(Default)]
struct Accepted {
    stale: Vec<i64>,
    /// The placements that the call itself closed.
    settled: ClosedByPreheat,
}

async fn settle_lots(step: &mut Step<'_>, session: Uuid, by_lot: OutcomesByLot) -> Result<Accepted, DbErr> {
    let mut accepted = Accepted::default();
    for ((work, fence), outcomes) in by_lot {
        if !settle_lot(step, session, (work, fence), outcomes, &mut accepted).await? {
            accepted.stale.push(work);
        }
    }
    Ok(accepted)
}

fn by_lot(settled: Vec<Settlement>) -> OutcomesByLot {
    let mut by_lot = OutcomesByLot::new();
    for Settlement {
        work,
        fence,
        digest,
        outcome,
    } in settled
    {
        by_lot.entry((work, fence)).or_default().push((digest, outcome));
    }
    by_lot
}

/// `false`: the lot is no longer this session's.
async fn settle_lot(
    step: &mut Step<'_>,
    session: Uuid,
    (work, fence): (i64, i64),
    outcomes: Vec<(String, PlacementOutcome)>,
    accepted: &mut Accepted,
) -> Result<bool, DbErr> {
    let txn = step.txn;
    let lot = lots::Entity::find_by_id(work).one(txn).await?;
    let is_ours =
        |lot: &lots::Model| lot.fence == Some(fence) && lot.session.as_deref() == Some(&session.to_string());
    let Some(lot) = lot.filter(is_ours) else {
        return Ok(false);
    };
    if lot.open == 0 {
        return Ok(true);
    }
    if !holds(txn, work, fence, session).await? {
        return Ok(false);
    }
    let mut closed = Closed::default();
    for (digest, outcome) in outcomes {
        settle_placement(txn, &lot, &digest, outcome, &mut closed).await?;
    }
    confirm(txn, &lot).await?;
    if closed.count() == lot.open {
        complete(txn, work, fence, session).await?;
    }
    accepted.settled.entry(lot.preheat_id).or_default().add(closed);
    ledger::close(step, &lot, closed).await?;
    Ok(true)
}

async fn settle_placement(
    txn: &DatabaseTransaction,
    lot: &lots::Model,
    digest: &str,
    outcome: PlacementOutcome,
    closed: &mut Closed,
) -> Result<(), DbErr> {
    use placements::Column;
    let update = placements::Entity::update_many()
        .filter(Column::WorkId.eq(lot.work_id))
        .filter(Column::Digest.eq(digest))
        .filter(Column::State.eq(OPEN));
    let update = match &outcome {
        PlacementOutcome::Verified {
            bytes_from_registry,
            bytes_from_peers,
        } => update
            .col_expr(Column::State, Expr::value(VERIFIED))
            .col_expr(
                Column::BytesFromRegistry,
                Expr::value(stored_size(*bytes_from_registry)),
            )
            .col_expr(
                Column::BytesFromPeers,
                Expr::value(stored_size(*bytes_from_peers)),
            ),
        PlacementOutcome::Failed { reason, side } => update
            .col_expr(Column::State, Expr::value(FAILED))
            .col_expr(Column::Reason, Expr::value(cut(reason)))
            .col_expr(Column::Side, Expr::value(side.word())),
    };
    if update.exec(txn).await?.rows_affected == 0 {
        return Ok(());
    }
    match outcome {
        PlacementOutcome::Verified {
            bytes_from_registry,
            bytes_from_peers,
        } => {
            let object = objects::Entity::find_by_id((lot.preheat_id, digest.to_owned()))
                .one(txn)
                .await?;
            closed.verified += 1;
            closed.bytes += object.map_or(0, |object| object.size);
            closed.from_registry += bytes_from_registry;
            closed.from_peers += bytes_from_peers;
        }
        PlacementOutcome::Failed { side, .. } => closed.add_failed(1, side),
    }
    Ok(())
}

/// The peer has shown that the lot reached it, so it is not handed out again.
async fn confirm(txn: &DatabaseTransaction, lot: &lots::Model) -> Result<(), DbErr> {
    if lot.confirmed {
        return Ok(());
    }
    lots::Entity::update_many()
        .col_expr(lots::Column::Confirmed, Expr::value(true))
        .filter(lots::Column::WorkId.eq(lot.work_id))
        .exec(txn)
        .await
        .map(drop)
}
