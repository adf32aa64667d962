//! Bandwidth limits of the peers of a cluster: the configured ones until they are changed at run time.
//!
//! **Invariant:** all seeds of a cluster together stay within its budget for a registry, however many they are. A node
//! that finds no seed has a share of the same budget among the nodes.

use std::collections::BTreeMap;

use oci::RegistryName;
use queue::Urgency;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter};
use wire::{BandwidthLimits, Rate, RegistryShare};

use crate::engine::preheater::{Inner, Preheater};
use crate::model::cluster_settings::ClusterLimits;
use crate::model::errors::{DamagedRow, StorageError};
use crate::rows::{clusters, peers};

/// The limits of a cluster, and what follows from them now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitsInForce {
    pub limits: ClusterLimits,
    /// They are those of the configuration.
    pub as_configured: bool,
    /// The limits that each peer is sent.
    pub for_peers: BandwidthLimits,
}

#[derive(Debug, thiserror::Error)]
pub enum LimitsError {
    #[error("there is no cluster {0}; the first peer that names a cluster creates it")]
    UnknownCluster(String),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Returns the limits that hold for this cluster.
pub async fn cluster_limits(preheater: &Preheater, cluster: &str) -> Result<LimitsInForce, LimitsError> {
    let inner = &preheater.inner;
    let row = named(inner, cluster).await?;
    in_force(inner, row).await.map_err(storage)
}

/// Sets the limits; none restores the configured ones. Peers receive them within seconds.
pub async fn set_cluster_limits(
    preheater: &Preheater,
    cluster: &str,
    limits: Option<ClusterLimits>,
) -> Result<LimitsInForce, LimitsError> {
    let inner = &preheater.inner;
    let row = named(inner, cluster).await?;
    let written = limits.map(|limits| canonical(inner, limits));
    let text = written
        .as_ref()
        .and_then(|limits| serde_json::to_string(limits).ok());
    let id = row.id;
    inner
        .write(Urgency::Urgent, move |txn| Box::pin(write(txn, id, text)))
        .await?;
    inner.surroundings_changed();
    tracing::info!(
        stoker.cluster = cluster,
        as_configured = written.is_none(),
        "cluster limits changed"
    );
    cluster_limits(preheater, cluster).await
}

/// For the peers of a cluster with so many live seeds.
pub(crate) async fn for_peers(inner: &Inner, cluster: i64, seeds: usize) -> Result<BandwidthLimits, DbErr> {
    let Some(row) = clusters::Entity::find_by_id(cluster).one(inner.reads()).await? else {
        return Ok(BandwidthLimits::default());
    };
    let (limits, _) = limits_of(inner, &row)?;
    let nodes = if limits.origins.is_empty() {
        0
    } else {
        live(inner.reads(), cluster, false).await?
    };
    Ok(divided(&limits, seeds as u64, nodes))
}

async fn write(txn: &impl ConnectionTrait, cluster: i64, limits: Option<String>) -> Result<(), DbErr> {
    clusters::Entity::update_many()
        .col_expr(clusters::Column::Limits, Expr::value(limits))
        .filter(clusters::Column::Id.eq(cluster))
        .exec(txn)
        .await
        .map(drop)
}

async fn named(inner: &Inner, cluster: &str) -> Result<clusters::Model, LimitsError> {
    let row = clusters::Entity::find()
        .filter(clusters::Column::Name.eq(cluster))
        .one(inner.reads())
        .await
        .map_err(storage)?;
    row.ok_or_else(|| LimitsError::UnknownCluster(cluster.chars().take(100).collect()))
}

async fn in_force(inner: &Inner, row: clusters::Model) -> Result<LimitsInForce, DbErr> {
    let (limits, as_configured) = limits_of(inner, &row)?;
    let seeds = live(inner.reads(), row.id, true).await?;
    let nodes = live(inner.reads(), row.id, false).await?;
    Ok(LimitsInForce {
        for_peers: divided(&limits, seeds, nodes),
        limits,
        as_configured,
    })
}

/// Returns the limits, and whether they are those of the configuration.
fn limits_of(inner: &Inner, row: &clusters::Model) -> Result<(ClusterLimits, bool), DamagedRow> {
    Ok(match row.limits()? {
        Some(limits) => (limits, false),
        None => (configured(inner, &row.name), true),
    })
}

fn configured(inner: &Inner, cluster: &str) -> ClusterLimits {
    let settings = inner.cluster_settings.get(cluster);
    let limits = settings
        .map(|settings| settings.limits.clone())
        .unwrap_or_default();
    canonical(inner, limits)
}

/// Names each registry by its canonical name. Of two limits for the same registry, the lower holds.
fn canonical(inner: &Inner, limits: ClusterLimits) -> ClusterLimits {
    let mut origins: BTreeMap<RegistryName, Rate> = BTreeMap::new();
    for (registry, rate) in limits.origins {
        origins
            .entry(inner.registries.canonical(&registry))
            .and_modify(|known| *known = rate.min(*known))
            .or_insert(rate);
    }
    ClusterLimits { origins, ..limits }
}

async fn live(db: &impl ConnectionTrait, cluster: i64, seeds: bool) -> Result<u64, DbErr> {
    peers::Entity::find()
        .filter(peers::Column::ClusterId.eq(cluster))
        .filter(peers::Column::Seed.eq(seeds))
        .filter(peers::Column::Session.is_not_null())
        .count(db)
        .await
}

/// Equal shares. The number of nodes is rounded up to a power of two, so that one node more or less seldom changes
/// the shares of all others.
fn divided(limits: &ClusterLimits, seeds: u64, nodes: u64) -> BandwidthLimits {
    let nodes = nodes.max(1).checked_next_power_of_two().unwrap_or(nodes);
    let share = |(registry, budget): (&RegistryName, &Rate)| RegistryShare {
        registry: registry.to_string(),
        each_seed: budget.shared_by(seeds),
        each_node: budget.shared_by(nodes),
    };
    BandwidthLimits {
        peer_incoming: limits.peer_incoming,
        peer_outgoing: limits.peer_outgoing,
        origins: limits.origins.iter().map(share).collect(),
    }
}

fn storage(error: DbErr) -> LimitsError {
    LimitsError::Storage(error.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(mib: u64) -> ClusterLimits {
        let rate = Rate::at_least(mib << 20);
        ClusterLimits {
            origins: BTreeMap::from([("a.lan".parse().expect("a name"), rate)]),
            ..ClusterLimits::default()
        }
    }

    fn shares(seeds: u64, nodes: u64) -> (u64, u64) {
        let for_peers = divided(&budget(64), seeds, nodes);
        let share = for_peers.origins.first().expect("a share");
        (
            share.each_seed.bytes_per_second() >> 20,
            share.each_node.bytes_per_second() >> 20,
        )
    }

    #[test]
    fn all_seeds_together_have_the_budget() {
        assert_eq!(shares(0, 0), (64, 64));
        assert_eq!(shares(1, 1), (64, 64));
        assert_eq!(shares(4, 16), (16, 4));
    }

    #[test]
    fn one_node_more_or_less_changes_nothing_for_the_others() {
        assert_eq!(shares(2, 9), shares(2, 16));
        assert_eq!(shares(2, 17), (32, 2));
    }

    #[test]
    fn stored_limits_are_read_back() {
        let limits = ClusterLimits {
            peer_incoming: Some(Rate::at_least(1 << 20)),
            ..budget(8)
        };
        let text = serde_json::to_string(&limits).expect("json");
        assert_eq!(
            serde_json::from_str::<ClusterLimits>(&text).expect("limits"),
            limits
        );
    }
}
