//! Counts preheats, work, placements and peers for the gauges: one grouped query for each table.

use std::collections::BTreeMap;
use std::time::Duration;

use queue::{Depth, WorkState, depths};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QuerySelect};

use crate::engine::gauges::{KINDS, PeerLabels, RowCounts, by_cluster};
use crate::engine::preheater::Inner;
use crate::model::limits::seconds;
use crate::model::state::PreheatState;
use crate::peers::clusters;
use crate::rows::sums::whole_sum;
use crate::rows::{peers, preheats};

pub(crate) const COUNT_EVERY: Duration = Duration::from_secs(5);

/// Through the index over deadlines: a preheat has one until it ends.
async fn open_preheats(db: &impl ConnectionTrait) -> Result<(BTreeMap<&'static str, i64>, i64), DbErr> {
    use preheats::Column;
    let sum = whole_sum(db.get_database_backend(), Column::PlacementsOpen);
    let rows: Vec<(String, i64, i64)> = preheats::Entity::find()
        .select_only()
        .column(Column::State)
        .column_as(Column::Id.count(), "preheats")
        .column_as(sum, "placements")
        .filter(Column::DeadlineMs.is_not_null())
        .group_by(Column::State)
        .into_tuple()
        .all(db)
        .await?;
    let placements = rows.iter().map(|(_, _, placements)| placements).sum();
    let open = rows
        .into_iter()
        .filter_map(|(state, count, _)| Some((PreheatState::of(&state)?.word(), count)));
    Ok((open.collect(), placements))
}

fn work_by_kind(depths: &[Depth], now_ms: i64) -> BTreeMap<(&'static str, WorkState), (i64, f64)> {
    let known = |kind: &str| KINDS.into_iter().find(|known| *known == kind);
    depths
        .iter()
        .filter_map(|depth| {
            let age = seconds((now_ms - depth.oldest_ms).max(0));
            Some(((known(&depth.kind)?, depth.state), (depth.count, age)))
        })
        .collect()
}

async fn peers_by_cluster(inner: &Inner) -> Result<BTreeMap<PeerLabels, i64>, DbErr> {
    use peers::Column;
    let rows: Vec<(i64, bool, i64, i64)> = peers::Entity::find()
        .select_only()
        .columns([Column::ClusterId, Column::Seed])
        .column_as(Column::Id.count(), "known")
        .column_as(Column::Session.count(), "alive")
        .group_by(Column::ClusterId)
        .group_by(Column::Seed)
        .into_tuple()
        .all(inner.reads())
        .await?;
    let has_all = |known: &BTreeMap<i64, String>| rows.iter().all(|row| known.contains_key(&row.0));
    let names = clusters::known(inner, has_all).await?;
    Ok(by_cluster(&rows, &names))
}

/// One round of counting.
pub(crate) async fn count(inner: &Inner) -> Result<(), DbErr> {
    let db = inner.reads();
    let (open, placements_open) = open_preheats(db).await?;
    inner.gauges.put(RowCounts {
        open,
        placements_open,
        work: work_by_kind(&depths(db).await?, inner.now_ms()),
        peers: peers_by_cluster(inner).await?,
    });
    Ok(())
}
