//! The live seeds of a cluster.

use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder};
use wire::SeedAddress;

use crate::rows::{peers, read_uuid};

/// Seeds of a cluster with a session, in a fixed order.
pub(crate) async fn live_seeds(db: &impl ConnectionTrait, cluster: i64) -> Result<Vec<peers::Model>, DbErr> {
    peers::Entity::find()
        .filter(peers::Column::Seed.eq(true))
        .filter(peers::Column::Session.is_not_null())
        .filter(peers::Column::ClusterId.eq(cluster))
        .order_by_asc(peers::Column::Id)
        .all(db)
        .await
}

pub(crate) fn address(seed: &peers::Model) -> SeedAddress {
    SeedAddress {
        peer: read_uuid(&seed.id),
        name: seed.name.clone(),
        share_url: seed.share_url.clone(),
    }
}
