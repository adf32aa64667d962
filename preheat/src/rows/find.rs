//! Small queries that many steps share.

use std::collections::HashMap;

use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter};

use super::{VALUES_AT_ONCE, peers, preheats};
use crate::model::errors::StorageError;

pub(crate) async fn peer_name(txn: &impl ConnectionTrait, peer: &str) -> Result<String, DbErr> {
    let row = peers::Entity::find_by_id(peer).one(txn).await?;
    Ok(row.map_or_else(|| peer.to_owned(), |row| row.name))
}

/// Name and address of peers by id.
pub(crate) type PeerNames = HashMap<String, (String, String)>;

pub(crate) async fn peers_named<'a>(
    db: &impl ConnectionTrait,
    ids: impl Iterator<Item = &'a String>,
) -> Result<PeerNames, StorageError> {
    let mut ids: Vec<&String> = ids.collect();
    ids.sort_unstable();
    ids.dedup();
    let mut names = PeerNames::new();
    for ids in ids.chunks(VALUES_AT_ONCE) {
        let rows = peers::Entity::find()
            .filter(peers::Column::Id.is_in(ids.iter().copied()))
            .all(db)
            .await?;
        names.extend(rows.into_iter().map(|row| (row.id, (row.name, row.address))));
    }
    Ok(names)
}

/// The preheat that does the work of this one: itself, unless it follows.
pub(crate) async fn worker_of(
    db: &impl ConnectionTrait,
    preheat: preheats::Model,
) -> Result<preheats::Model, DbErr> {
    let mut worker = preheat;
    // Leaders do not follow others. The bound keeps a damaged chain finite.
    for _ in 0..4 {
        let Some(leader) = worker.follows else { break };
        match preheats::Entity::find_by_id(leader).one(db).await? {
            Some(row) => worker = row,
            None => break,
        }
    }
    Ok(worker)
}
