//! The clusters with their live peers, as planning needs them.

use std::collections::BTreeMap;

use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder};

use super::decide::LiveCluster;
use crate::model::scope::Scope;
use crate::rows::damaged::or_skip;
use crate::rows::{clusters, peers, preheats};

/// The clusters with the peers that may have to hold something of it.
pub(crate) async fn live_clusters_for(
    txn: &impl ConnectionTrait,
    preheat: &preheats::Model,
) -> Result<Vec<LiveCluster>, DbErr> {
    let scope = preheat.scope()?;
    live_clusters(txn, scope == Scope::AllPeers).await
}

pub(crate) async fn live_clusters(
    txn: &impl ConnectionTrait,
    with_nodes: bool,
) -> Result<Vec<LiveCluster>, DbErr> {
    let rows = clusters::Entity::find()
        .order_by_asc(clusters::Column::Id)
        .all(txn)
        .await?;
    let mut clusters: BTreeMap<i64, LiveCluster> = rows
        .into_iter()
        .map(|row| {
            (
                row.id,
                LiveCluster {
                    id: row.id,
                    name: row.name,
                    ..LiveCluster::default()
                },
            )
        })
        .collect();
    let mut live = peers::Entity::find().filter(peers::Column::Session.is_not_null());
    if !with_nodes {
        live = live.filter(peers::Column::Seed.eq(true));
    }
    for peer in live.all(txn).await? {
        let Some(cluster) = clusters.get_mut(&peer.cluster_id) else {
            continue;
        };
        let list = if peer.seed {
            &mut cluster.seeds
        } else {
            &mut cluster.nodes
        };
        list.extend(or_skip(peer.uuid()));
    }
    Ok(clusters.into_values().collect())
}
