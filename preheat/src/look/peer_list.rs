//! Every peer that has registered and was not removed.

use std::collections::HashMap;

use sea_orm::sea_query::Query;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use wire::Role;

use super::views::PeerView;
use crate::engine::preheater::Preheater;
use crate::model::errors::StorageError;
use crate::peers::clusters;
use crate::rows::damaged::or_skip;
use crate::rows::sums::whole_sum;
use crate::rows::{holdings, peers, read_size, removals};

/// Live ones first, then by name.
pub async fn peers(preheater: &Preheater) -> Result<Vec<PeerView>, StorageError> {
    let inner = &preheater.inner;
    let removed = Query::select()
        .column(removals::Column::PeerId)
        .from(removals::Entity)
        .to_owned();
    let rows = peers::Entity::find()
        .filter(peers::Column::Id.not_in_subquery(removed))
        .order_by_asc(peers::Column::Name)
        .order_by_asc(peers::Column::Id)
        .all(inner.reads())
        .await?;
    let has_all = |known: &std::collections::BTreeMap<i64, String>| {
        rows.iter().all(|row| known.contains_key(&row.cluster_id))
    };
    let clusters = clusters::known(inner, has_all).await?;
    let held = held(preheater).await?;
    let now = inner.now_ms();
    let mut views: Vec<PeerView> = rows
        .into_iter()
        .filter_map(|row| {
            let id = or_skip(row.uuid())?;
            let (holdings, held_bytes) = held.get(&row.id).copied().unwrap_or_default();
            Some(PeerView {
                id,
                cluster: clusters.get(&row.cluster_id).cloned().unwrap_or_default(),
                cluster_id: row.cluster_id,
                role: if row.seed { Role::Seed } else { Role::Node },
                alive: row.session.is_some(),
                name: row.name,
                share_url: row.share_url,
                last_seen_ms: row.last_seen_ms,
                software: row.software,
                holdings,
                held_bytes,
                warning: inner.findings.of(id, now),
            })
        })
        .collect();
    views.sort_by_key(|view| !view.alive);
    // A connected peer was seen just now: its row is not updated at every request.
    views
        .iter_mut()
        .filter(|view| view.alive)
        .for_each(|view| view.last_seen_ms = now);
    Ok(views)
}

async fn held(preheater: &Preheater) -> Result<HashMap<String, (u64, u64)>, StorageError> {
    let backend = preheater.inner.reads().get_database_backend();
    let sums: Vec<(String, i64, i64)> = holdings::Entity::find()
        .select_only()
        .column(holdings::Column::PeerId)
        .column_as(holdings::Column::Digest.count(), "objects")
        .column_as(whole_sum(backend, holdings::Column::Size), "bytes")
        .group_by(holdings::Column::PeerId)
        .into_tuple()
        .all(preheater.inner.reads())
        .await?;
    Ok(sums
        .into_iter()
        .map(|(peer, objects, bytes)| (peer, (read_size(objects), read_size(bytes))))
        .collect())
}
