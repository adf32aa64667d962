//! The holders of objects among live seeds: by their holdings, and by their settlements for a preheat.

use std::collections::{HashMap, HashSet};

use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QuerySelect};
use uuid::Uuid;
use wire::SeedAddress;

use crate::rows::placements::VERIFIED;
use crate::rows::{VALUES_AT_ONCE, holdings, placements};

/// The number of parents that a peer is sent.
pub(crate) const PARENTS: usize = 5;

/// Digest -> the seeds that have it.
pub(crate) type HoldersByDigest = HashMap<String, HashSet<Uuid>>;

pub(crate) async fn holders(
    db: &impl ConnectionTrait,
    seeds: &[SeedAddress],
    digests: &[String],
    preheat: Option<i64>,
) -> Result<HoldersByDigest, DbErr> {
    let ids: HashMap<String, Uuid> = seeds
        .iter()
        .map(|seed| (seed.peer.to_string(), seed.peer))
        .collect();
    let mut holders = HoldersByDigest::new();
    for digests in digests.chunks(VALUES_AT_ONCE) {
        let announced: Vec<(String, String)> = holdings::Entity::find()
            .select_only()
            .columns([holdings::Column::Digest, holdings::Column::PeerId])
            .filter(holdings::Column::Digest.is_in(digests))
            .filter(holdings::Column::PeerId.is_in(ids.keys()))
            .into_tuple()
            .all(db)
            .await?;
        add(&mut holders, &ids, announced);
    }
    if let Some(preheat) = preheat {
        let proven: Vec<(String, String)> = placements::Entity::find()
            .select_only()
            .columns([placements::Column::Digest, placements::Column::PeerId])
            .filter(placements::Column::PreheatId.eq(preheat))
            .filter(placements::Column::State.eq(VERIFIED))
            .filter(placements::Column::PeerId.is_in(ids.keys()))
            .into_tuple()
            .all(db)
            .await?;
        add(&mut holders, &ids, proven);
    }
    Ok(holders)
}

fn add(holders: &mut HoldersByDigest, ids: &HashMap<String, Uuid>, rows: Vec<(String, String)>) {
    for (digest, peer) in rows {
        holders.entry(digest).or_default().extend(ids.get(&peer));
    }
}
