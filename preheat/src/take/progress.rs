//! Progress reports: one small row per peer, overwritten. A report is also the heartbeat, and its answer lists
//! withdrawn lots.

use std::collections::HashMap;

use queue::Urgency;
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter, QuerySelect,
};
use uuid::Uuid;
use wire::{ProgressReport, ProgressResponse};

use crate::engine::preheater::Preheater;
use crate::model::errors::SessionError;
use crate::model::limits::milliseconds;
use crate::peers::{neighbourhood, removals, sessions};
use crate::rows::{VALUES_AT_ONCE, lots, progress};

/// Placements whose bytes one report keeps.
const KEPT: usize = 4_000;
/// Registries whose width one report keeps.
const KEPT_WIDTHS: usize = 64;

pub async fn progress(
    preheater: &Preheater,
    session: Uuid,
    report: ProgressReport,
) -> Result<ProgressResponse, SessionError> {
    let inner = &preheater.inner;
    let peer = sessions::renewed(inner, session).await?;
    let ours = ours(inner.reads(), session, &report.working_on).await?;
    let withdrawn = not_in(&ours, &report.working_on);
    let unconfirmed: Vec<i64> = ours
        .into_iter()
        .filter(|(_, confirmed)| !confirmed)
        .map(|(work, _)| work)
        .collect();
    let removals = report.removals;
    let row = row(peer.id, session, report, inner.now_ms());
    inner
        .write(Urgency::Background, move |txn| {
            Box::pin(write_down(txn, row, unconfirmed))
        })
        .await?;
    let neighbourhood = neighbourhood::current(inner, peer.cluster_id).await?;
    Ok(ProgressResponse {
        lease_ms: u64::try_from(milliseconds(inner.limits.session_lease)).unwrap_or_default(),
        withdrawn,
        neighbourhood_version: neighbourhood.version.clone(),
        removals: removals::news(inner, removals).await?,
    })
}

/// Of these lots those that are not the session's any more.
pub(crate) async fn withdrawn(
    db: &impl ConnectionTrait,
    session: Uuid,
    working_on: &[i64],
) -> Result<Vec<i64>, DbErr> {
    Ok(not_in(&ours(db, session, working_on).await?, working_on))
}

fn not_in(ours: &HashMap<i64, bool>, working_on: &[i64]) -> Vec<i64> {
    let gone = working_on.iter().filter(|work| !ours.contains_key(work));
    gone.copied().collect()
}

/// Of these lots the session's own, and whether it was seen that they reached it.
async fn ours(
    db: &impl ConnectionTrait,
    session: Uuid,
    working_on: &[i64],
) -> Result<HashMap<i64, bool>, DbErr> {
    let mut ours = HashMap::new();
    for works in working_on.chunks(VALUES_AT_ONCE) {
        let rows: Vec<(i64, bool)> = lots::Entity::find()
            .select_only()
            .columns([lots::Column::WorkId, lots::Column::Confirmed])
            .filter(lots::Column::WorkId.is_in(works.iter().copied()))
            .filter(lots::Column::Session.eq(session.to_string()))
            .into_tuple()
            .all(db)
            .await?;
        ours.extend(rows);
    }
    Ok(ours)
}

fn row(peer: Uuid, session: Uuid, report: ProgressReport, now: i64) -> progress::ActiveModel {
    let (mut placements, mut widths) = (report.placements, report.widths);
    placements.truncate(KEPT);
    widths.truncate(KEPT_WIDTHS);
    progress::ActiveModel {
        peer_id: Set(peer.to_string()),
        session: Set(session.to_string()),
        report: Set(progress::stored(placements, widths)),
        updated_ms: Set(now),
    }
}

async fn write_down(
    txn: &DatabaseTransaction,
    row: progress::ActiveModel,
    unconfirmed: Vec<i64>,
) -> Result<(), DbErr> {
    let newest = OnConflict::column(progress::Column::PeerId)
        .update_columns([
            progress::Column::Session,
            progress::Column::Report,
            progress::Column::UpdatedMs,
        ])
        .to_owned();
    progress::Entity::insert(row)
        .on_conflict(newest)
        .exec_without_returning(txn)
        .await?;
    for works in unconfirmed.chunks(VALUES_AT_ONCE) {
        lots::Entity::update_many()
            .col_expr(lots::Column::Confirmed, Expr::value(true))
            .filter(lots::Column::WorkId.is_in(works.iter().copied()))
            .exec(txn)
            .await?;
    }
    Ok(())
}
