//! Every cluster, for people.

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::views::ClusterView;
use crate::engine::preheater::Preheater;
use crate::model::errors::StorageError;
use crate::rows::{clusters, peers};

/// Every cluster, with how many live seeds and nodes it has.
pub async fn clusters(preheater: &Preheater) -> Result<Vec<ClusterView>, StorageError> {
    let db = preheater.inner.reads();
    let rows = clusters::Entity::find()
        .order_by_asc(clusters::Column::Id)
        .all(db)
        .await?;
    let live: Vec<(i64, bool)> = peers::Entity::find()
        .select_only()
        .columns([peers::Column::ClusterId, peers::Column::Seed])
        .filter(peers::Column::Session.is_not_null())
        .into_tuple()
        .all(db)
        .await?;
    let count = |id: i64, seed: bool| live.iter().filter(|peer| **peer == (id, seed)).count() as u64;
    let view = |row: clusters::Model| ClusterView {
        seeds: count(row.id, true),
        nodes: count(row.id, false),
        id: row.id,
        name: row.name,
    };
    Ok(rows.into_iter().map(view).collect())
}
