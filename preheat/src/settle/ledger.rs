//! Keeps a preheat's counts while its placements close, unparks stage 1 when stage 0 is done, and ends the preheat
//! with its last placement, all in the transaction that closes a placement.
//!
//! **Invariant:** `placements_open` of a preheat is the sum of its lots' `open`. At 0 the preheat ends in the same
//! transaction. It succeeds only if every placement was verified, except those of tolerated absent peers.

use std::collections::BTreeSet;

use queue::{WorkFilter, unpark};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
};
use wire::Side;

use crate::ending::end::end;
use crate::engine::step::Step;
use crate::engine::work::parked_group_of;
use crate::lots::counts::{count_in_lot, count_in_preheat};
use crate::lots::stage;
use crate::model::closed::Closed;
use crate::model::errors::DamagedRow;
use crate::model::stage::Stage;
use crate::model::text::NAMED_FAILURES;
use crate::model::verdict::{FailedPlacement, PeersLeft, PlacementCounts, Verdict, verdict};
use crate::rows::find::peer_name;
use crate::rows::placements::FAILED;
use crate::rows::{lots, placements, preheats};

/// Counts placements of a lot as closed and does whatever follows from that.
pub(crate) async fn close(step: &mut Step<'_>, lot: &lots::Model, closed: Closed) -> Result<(), DbErr> {
    if closed.count() == 0 {
        return Ok(());
    }
    count_in_lot(step.txn, lot.work_id, closed.count()).await?;
    count_in_preheat(step.txn, lot.preheat_id, closed, step.now).await?;
    step.effects.note(lot.preheat_id, closed);
    if lot.stage()? == Stage::Registry
        && !any_open(step.txn, lot, 0).await?
        && any_open(step.txn, lot, 1).await?
    {
        let lacking = stage::begin_next(step.txn, lot.preheat_id, lot.cluster_id, step.now).await?;
        step.effects.note(lot.preheat_id, lacking);
        let group = parked_group_of(lot.preheat_id, lot.cluster_id);
        step.effects
            .lanes
            .extend(unpark(step.txn, &group, WorkFilter::default(), step.now).await?);
    }
    end_if_nothing_is_open(step, lot.preheat_id).await
}

/// Whether anything of this stage is open in the lot's cluster.
async fn any_open(txn: &impl ConnectionTrait, lot: &lots::Model, stage: i32) -> Result<bool, DbErr> {
    let open = lots::Entity::find()
        .filter(lots::Column::PreheatId.eq(lot.preheat_id))
        .filter(lots::Column::ClusterId.eq(lot.cluster_id))
        .filter(lots::Column::Stage.eq(stage))
        .filter(lots::Column::Open.gt(0))
        .limit(1)
        .count(txn)
        .await?;
    Ok(open > 0)
}

async fn end_if_nothing_is_open(step: &mut Step<'_>, preheat: i64) -> Result<(), DbErr> {
    let row = preheats::Entity::find_by_id(preheat).one(step.txn).await?;
    let Some(row) = row.filter(|row| row.finished_ms.is_none() && row.placements_open == 0) else {
        return Ok(());
    };
    let failed = if row.placements_failed > 0 {
        first_failed(step.txn, preheat).await?
    } else {
        Vec::new()
    };
    let left = if row.placements_left > 0 {
        peers_left(step.txn, &row).await?
    } else {
        Ok(Vec::new())
    };
    let counts = PlacementCounts {
        total: row.placements_total,
        verified: row.placements_verified,
        left: row.placements_left,
    };
    let verdict = match left {
        Ok(left) => verdict(counts, &left, &failed),
        Err(damaged) => Verdict::Failed {
            reason: damaged.to_string(),
            side: Side::Manager,
        },
    };
    end(step, row, verdict).await
}

/// How many peers left, and how many may, for each cluster that one left.
async fn peers_left(
    txn: &impl ConnectionTrait,
    preheat: &preheats::Model,
) -> Result<Result<Vec<PeersLeft>, DamagedRow>, DbErr> {
    use placements::Column;
    let gone: Vec<(i64, String)> = placements::Entity::find()
        .select_only()
        .columns([Column::ClusterId, Column::PeerId])
        .distinct()
        .filter(Column::PreheatId.eq(preheat.id))
        .filter(Column::State.eq(FAILED))
        .filter(Column::PeerLeft.eq(true))
        .into_tuple()
        .all(txn)
        .await?;
    let tolerated = match preheat.tolerated_absent() {
        Ok(tolerated) => tolerated,
        Err(damaged) => return Ok(Err(damaged)),
    };
    let clusters: BTreeSet<i64> = gone.iter().map(|(cluster, _)| *cluster).collect();
    let left = |cluster: i64| PeersLeft {
        peers: gone.iter().filter(|(of, _)| *of == cluster).count(),
        tolerated: tolerated.get(&cluster).copied().unwrap_or_default(),
    };
    Ok(Ok(clusters.into_iter().map(left).collect()))
}

/// Peers that left come last: they may be tolerated.
async fn first_failed(txn: &impl ConnectionTrait, preheat: i64) -> Result<Vec<FailedPlacement>, DbErr> {
    let rows = placements::Entity::find()
        .filter(placements::Column::PreheatId.eq(preheat))
        .filter(placements::Column::State.eq(FAILED))
        .order_by_asc(placements::Column::PeerLeft)
        .order_by_asc(placements::Column::Id)
        .limit(NAMED_FAILURES as u64)
        .all(txn)
        .await?;
    let mut failed = Vec::with_capacity(rows.len());
    for row in rows {
        let side = row.side();
        failed.push(FailedPlacement {
            peer: peer_name(txn, &row.peer_id).await?,
            digest: row.digest,
            side: side.as_ref().ok().copied().flatten().unwrap_or(Side::Manager),
            reason: match side {
                Ok(_) => row.reason.unwrap_or_default(),
                Err(damaged) => damaged.to_string(),
            },
            peer_left: row.peer_left,
        });
    }
    Ok(failed)
}
