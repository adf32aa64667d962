//! Disconnected peers: their work goes to another seed where the scope allows it, and fails when they stay
//! disconnected too long.

use std::collections::BTreeMap;

use queue::enqueue;
use sea_orm::sea_query::{Expr, ExprTrait, Query, SimpleExpr};
use sea_orm::{ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use crate::engine::effects::MovedLot;
use crate::engine::step::Step;
use crate::engine::work::lane_of;
use crate::lots::stage;
use crate::model::closed::Closed;
use crate::model::limits::{Limits, milliseconds};
use crate::model::scope::Scope;
use crate::model::stage::Stage;
use crate::peers::seeds;
use crate::plan::decide::{LotContent, PlannedLot, next_seed};
use crate::plan::write;
use crate::rows::damaged::or_skip;
use crate::rows::placements::OPEN;
use crate::rows::{VALUES_AT_ONCE, clusters, lots, peers, placements, preheats};
use crate::settle::ledger;

/// One round looks at this many peers, and this many lots of each; the next round takes the rest.
const PEERS_AT_ONCE: u64 = 50;
const LOTS_AT_ONCE: u64 = 200;

pub(crate) async fn sweep(step: &mut Step<'_>, limits: &Limits) -> Result<(), DbErr> {
    let left_before = step.now - milliseconds(limits.absent_limit);
    forget_idle(step.txn, left_before).await?;
    let absent = peers::Entity::find()
        .filter(peers::Column::AbsentSinceMs.lte(step.now - milliseconds(limits.replan_after)))
        .filter(has_open_lots())
        .order_by_asc(peers::Column::AbsentSinceMs)
        .limit(PEERS_AT_ONCE)
        .all(step.txn)
        .await?;
    for peer in absent {
        let has_left = peer.absent_since_ms.is_some_and(|since| since <= left_before);
        let open = lots::Entity::find()
            .filter(lots::Column::PeerId.eq(&peer.id))
            .filter(lots::Column::Open.gt(0))
            .limit(LOTS_AT_ONCE)
            .all(step.txn)
            .await?;
        for lot in open {
            let moved = replan(step, &peer, &lot).await?;
            if !moved && has_left {
                fail(step, &peer, &lot, limits).await?;
            }
        }
    }
    Ok(())
}

/// Peers that left and have no open lots are not looked at again.
async fn forget_idle(txn: &DatabaseTransaction, left_before: i64) -> Result<(), DbErr> {
    peers::Entity::update_many()
        .col_expr(peers::Column::AbsentSinceMs, Expr::value(None::<i64>))
        .filter(peers::Column::AbsentSinceMs.lte(left_before))
        .filter(has_open_lots().not())
        .exec(txn)
        .await
        .map(drop)
}

fn has_open_lots() -> SimpleExpr {
    let lots_of_peer = Query::select()
        .expr(Expr::value(1))
        .from(lots::Entity)
        .and_where(Expr::col((lots::Entity, lots::Column::PeerId)).equals((peers::Entity, peers::Column::Id)))
        .and_where(Expr::col((lots::Entity, lots::Column::Open)).gt(0))
        .to_owned();
    Expr::exists(lots_of_peer)
}

async fn fail(
    step: &mut Step<'_>,
    peer: &peers::Model,
    lot: &lots::Model,
    limits: &Limits,
) -> Result<(), DbErr> {
    let reason = format!(
        "peer left: {} was disconnected for {} s; start it again or preheat anew",
        peer.name,
        limits.absent_limit.as_secs()
    );
    // Failing this peer's lot before may have closed some of this one, or ended the preheat.
    let lot = lots::Entity::find_by_id(lot.work_id).one(step.txn).await?;
    let Some(lot) = lot.filter(|lot| lot.open > 0) else {
        return Ok(());
    };
    let Some(preheat) = preheats::Entity::find_by_id(lot.preheat_id).one(step.txn).await? else {
        return Ok(());
    };
    let root = preheat.digest.as_deref().unwrap_or_default();
    stage::fail_left(step.txn, &lot, root, &reason).await?;
    ledger::close(step, &lot, Closed::left(lot.open)).await
}

/// Moves what is open to the next live seed of each object. `false`: the scope binds it to this peer, or there is no
/// other seed.
async fn replan(step: &mut Step<'_>, peer: &peers::Model, lot: &lots::Model) -> Result<bool, DbErr> {
    let preheat = preheats::Entity::find_by_id(lot.preheat_id).one(step.txn).await?;
    let is_free = |preheat: &preheats::Model| or_skip(preheat.scope()) == Some(Scope::SingleSeedPeer);
    let Some(preheat) = preheat.filter(is_free) else {
        return Ok(false);
    };
    let Some(cluster) = clusters::Entity::find_by_id(lot.cluster_id).one(step.txn).await? else {
        return Ok(false);
    };
    let live = seeds::live_seeds(step.txn, lot.cluster_id).await?;
    let seeds: Vec<Uuid> = live.iter().map(|seed| seed.peer).collect();
    let Some(gone) = or_skip(lot.peer()) else {
        return Ok(false);
    };
    let mut by_seed: BTreeMap<Uuid, Vec<String>> = BTreeMap::new();
    for digest in open_digests(step.txn, lot).await? {
        let Some(seed) = next_seed(&cluster.name, &digest, &seeds, Some(gone)) else {
            return Ok(false);
        };
        by_seed.entry(seed).or_default().push(digest);
    }
    for (seed, digests) in by_seed {
        move_to(step.txn, lot, &preheat, seed, &digests, step.now).await?;
        step.effects.lanes.push(lane_of(seed));
    }
    // Its queue work is removed with the preheat; a claim before that finds no lot and completes it.
    lots::Entity::delete_by_id(lot.work_id).exec(step.txn).await?;
    step.effects.moved.push(MovedLot {
        preheat: preheat.id,
        peer: peer.name.clone(),
    });
    Ok(true)
}

async fn open_digests(txn: &DatabaseTransaction, lot: &lots::Model) -> Result<Vec<String>, DbErr> {
    placements::Entity::find()
        .select_only()
        .column(placements::Column::Digest)
        .filter(placements::Column::WorkId.eq(lot.work_id))
        .filter(placements::Column::State.eq(OPEN))
        .into_tuple()
        .all(txn)
        .await
}

async fn move_to(
    txn: &DatabaseTransaction,
    lot: &lots::Model,
    preheat: &preheats::Model,
    seed: Uuid,
    digests: &[String],
    now: i64,
) -> Result<(), DbErr> {
    let (id, cluster) = (lot.preheat_id, lot.cluster_id);
    let work = write::work(
        preheat,
        cluster,
        Stage::Registry,
        seed,
        preheat.trace.clone(),
        now,
    );
    let work = enqueue(txn, &work, now).await?;
    let planned = PlannedLot {
        cluster,
        stage: Stage::Registry,
        peer: seed,
        content: LotContent::Objects(Vec::new()),
    };
    write::insert_lots(txn, &[write::row(work, id, &planned, digests.len())]).await?;
    for digests in digests.chunks(VALUES_AT_ONCE) {
        placements::Entity::update_many()
            .col_expr(placements::Column::WorkId, Expr::value(work))
            .col_expr(placements::Column::PeerId, Expr::value(seed.to_string()))
            .filter(placements::Column::WorkId.eq(lot.work_id))
            .filter(placements::Column::State.eq(OPEN))
            .filter(placements::Column::Digest.is_in(digests))
            .exec(txn)
            .await?;
    }
    Ok(())
}
