//! Writes a plan down: lots as work in the lanes of their peers, and their placements.

use std::collections::{BTreeMap, BTreeSet};

use queue::{NewWork, PARKED, enqueue};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter};
use serde_json::json;
use uuid::Uuid;
use wire::Side;

use super::choosing;
use super::cluster_wishes::tolerated_absent;
use super::decide::{LiveCluster, LotContent, NoSeed, PlannedLot, PlannedObject, plan, wanted_clusters};
use crate::ending::end;
use crate::engine::effects::{Planned, Planning};
use crate::engine::step::Step;
use crate::engine::work::{PLACE, group_of, lane_of, parked_group_of};
use crate::lots::stage;
use crate::model::cluster_settings::SettingsByCluster;
use crate::model::stage::Stage;
use crate::model::state::PreheatState;
use crate::model::webhook::WebhookEvent;
use crate::rows::{ROWS_AT_ONCE, lots, objects, placements, preheats, read_size, stored_size};
use crate::tell::notices::notify;

/// Plans the preheat for the peers of `clusters` and writes the plan. Returns `NoSeed` when no seed can fetch.
pub(crate) async fn place(
    step: &mut Step<'_>,
    preheat: &preheats::Model,
    clusters: &[LiveCluster],
    trace: Option<String>,
    settings: &SettingsByCluster,
) -> Result<Result<(), NoSeed>, DbErr> {
    let scope = preheat.scope()?;
    let choice = preheat.clusters()?;
    let wanted = match wanted_clusters(&choice, clusters) {
        Ok(wanted) => wanted,
        Err(no_seed) => {
            step.effects.planning = Planning::NoSeed;
            return Ok(Err(no_seed));
        }
    };
    let holders = match choosing::holders(step.txn, preheat, &wanted).await? {
        Ok(holders) => holders,
        Err(nobody) => {
            let (preheat, reason) = (preheat.clone(), nobody.reason());
            Box::pin(end::fail(step, preheat, &reason, Side::Caller)).await?;
            return Ok(Ok(()));
        }
    };
    let objects = objects_of(step.txn, preheat.id).await?;
    let lots = plan(&objects, &wanted, &holders);
    let placements = write(step.txn, preheat, &objects, &lots, trace, step.now).await?;
    let peers: BTreeSet<Uuid> = lots.iter().map(|lot| lot.peer).collect();
    step.effects.planning = Planning::Done(Planned {
        objects: objects.len(),
        placements,
        peers: peers.len(),
    });
    tolerate(step.txn, preheat.id, &tolerated_absent(scope, &wanted, settings)).await?;
    notify(step, preheat, WebhookEvent::Resolved).await?;
    step.effects.lanes.extend(
        lots.iter()
            .filter(|lot| lot.stage == Stage::Registry)
            .map(|lot| lane_of(lot.peer)),
    );
    Ok(Ok(()))
}

/// Stores the tolerance with the plan: a changed configuration applies to later preheats only.
async fn tolerate(
    txn: &impl ConnectionTrait,
    preheat: i64,
    tolerated: &BTreeMap<i64, u32>,
) -> Result<(), DbErr> {
    if tolerated.is_empty() {
        return Ok(());
    }
    preheats::Entity::update_many()
        .col_expr(
            preheats::Column::ToleratedAbsent,
            Expr::value(json!(tolerated).to_string()),
        )
        .filter(preheats::Column::Id.eq(preheat))
        .exec(txn)
        .await
        .map(drop)
}

async fn objects_of(txn: &impl ConnectionTrait, preheat: i64) -> Result<Vec<PlannedObject>, DbErr> {
    let rows = objects::Entity::find()
        .filter(objects::Column::PreheatId.eq(preheat))
        .all(txn)
        .await?;
    let planned = |row: objects::Model| {
        Ok(PlannedObject {
            class: row.class()?,
            digest: row.digest,
            size: read_size(row.size),
        })
    };
    rows.into_iter().map(planned).collect()
}

async fn write(
    txn: &impl ConnectionTrait,
    preheat: &preheats::Model,
    objects: &[PlannedObject],
    lots: &[PlannedLot],
    trace: Option<String>,
    now: i64,
) -> Result<i64, DbErr> {
    let (mut count, mut bytes) = (0_i64, 0_i64);
    let mut rows = Vec::with_capacity(lots.len());
    for lot in lots {
        let listed = match &lot.content {
            LotContent::Objects(listed) => listed.as_slice(),
            LotContent::Everything => objects,
        };
        count += i64::try_from(listed.len()).unwrap_or(i64::MAX);
        bytes = bytes.saturating_add(stored_size(listed.iter().map(|object| object.size).sum()));
        let work = work(preheat, lot.cluster, lot.stage, lot.peer, trace.clone(), now);
        rows.push(row(
            enqueue(txn, &work, now).await?,
            preheat.id,
            lot,
            listed.len(),
        ));
    }
    insert(txn, &rows, lots).await?;
    begin_placing(txn, preheat.id, count, bytes, now).await?;
    Ok(count)
}

/// A lot as queue work; a lot of stage 1 is parked.
pub(crate) fn work(
    preheat: &preheats::Model,
    cluster: i64,
    stage: Stage,
    peer: Uuid,
    trace: Option<String>,
    now: i64,
) -> NewWork {
    let (group, run_at_ms) = match stage {
        Stage::Registry => (group_of(preheat.id), now),
        Stage::Peers => (parked_group_of(preheat.id, cluster), PARKED),
    };
    NewWork {
        lane: lane_of(peer),
        kind: PLACE.to_owned(),
        payload: json!({ "preheat": preheat.id }),
        run_at_ms,
        priority: preheat.priority,
        trace,
        group: Some(group),
        fair_key: preheat.fair_key.clone(),
    }
}

pub(crate) fn row(work: i64, preheat: i64, lot: &PlannedLot, objects: usize) -> lots::Model {
    lots::Model {
        work_id: work,
        preheat_id: preheat,
        cluster_id: lot.cluster,
        peer_id: lot.peer.to_string(),
        stage: lot.stage as i32,
        open: i64::try_from(objects).unwrap_or(i64::MAX),
        expanded: matches!(lot.content, LotContent::Objects(_)),
        session: None,
        fence: None,
        taken_ms: None,
        confirmed: false,
    }
}

async fn insert(txn: &impl ConnectionTrait, rows: &[lots::Model], lots: &[PlannedLot]) -> Result<(), DbErr> {
    for rows in rows.chunks(ROWS_AT_ONCE) {
        insert_lots(txn, rows).await?;
    }
    let mut placements = Vec::new();
    for (row, lot) in std::iter::zip(rows, lots) {
        if let LotContent::Objects(listed) = &lot.content {
            placements.extend(listed.iter().map(|object| stage::row(row, &object.digest, None)));
        }
    }
    while !placements.is_empty() {
        let rest = placements.split_off(placements.len().min(ROWS_AT_ONCE));
        placements::Entity::insert_many(placements)
            .exec_without_returning(txn)
            .await?;
        placements = rest;
    }
    Ok(())
}

pub(crate) async fn insert_lots(txn: &impl ConnectionTrait, rows: &[lots::Model]) -> Result<(), DbErr> {
    let active = rows.iter().map(|row| lots::ActiveModel {
        work_id: Set(row.work_id),
        preheat_id: Set(row.preheat_id),
        cluster_id: Set(row.cluster_id),
        peer_id: Set(row.peer_id.clone()),
        stage: Set(row.stage),
        open: Set(row.open),
        expanded: Set(row.expanded),
        session: Set(None),
        fence: Set(None),
        taken_ms: Set(None),
        confirmed: Set(false),
    });
    lots::Entity::insert_many(active)
        .exec_without_returning(txn)
        .await
        .map(drop)
}

async fn begin_placing(
    txn: &impl ConnectionTrait,
    preheat: i64,
    count: i64,
    bytes: i64,
    now: i64,
) -> Result<(), DbErr> {
    use preheats::Column;
    preheats::Entity::update_many()
        .col_expr(Column::State, Expr::value(PreheatState::Placing.word()))
        .col_expr(Column::Reason, Expr::value(None::<String>))
        .col_expr(Column::PlacementsTotal, Expr::value(count))
        .col_expr(Column::PlacementsOpen, Expr::value(count))
        .col_expr(Column::BytesTotal, Expr::value(bytes))
        .col_expr(Column::NoSeedDeadlineMs, Expr::value(None::<i64>))
        .col_expr(Column::SeedCheckMs, Expr::value(None::<i64>))
        .col_expr(Column::UpdatedMs, Expr::value(now))
        .filter(Column::Id.eq(preheat))
        .exec(txn)
        .await
        .map(drop)
}
