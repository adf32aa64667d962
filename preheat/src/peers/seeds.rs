//! The live seeds of a cluster.

use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder};
use wire::SeedAddress;

use crate::rows::damaged::or_skip;
use crate::rows::peers;

/// Seeds of a cluster with a session, in a fixed order.
pub(crate) async fn live_seeds(db: &impl ConnectionTrait, cluster: i64) -> Result<Vec<SeedAddress>, DbErr> {
    let rows = peers::Entity::find()
        .filter(peers::Column::Seed.eq(true))
        .filter(peers::Column::Session.is_not_null())
        .filter(peers::Column::ClusterId.eq(cluster))
        .order_by_asc(peers::Column::Id)
        .all(db)
        .await?;
    let address = |row: peers::Model| {
        let peer = or_skip(row.uuid())?;
        Some(SeedAddress {
            peer,
            name: row.name,
            share_url: row.share_url,
        })
    };
    Ok(rows.into_iter().filter_map(address).collect())
}
