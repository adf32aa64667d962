//! Who of the live seeds has which object: what they announced, and what they proved for this preheat.

use std::collections::{HashMap, HashSet};

use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QuerySelect};
use uuid::Uuid;

use crate::rows::placements::state::VERIFIED;
use crate::rows::{VALUES_AT_ONCE, holdings, peers, placements, read_uuid};

/// Parents that a peer is told of.
pub(crate) const PARENTS: usize = 5;

/// Digest -> the seeds that have it.
pub(crate) type Holders = HashMap<String, HashSet<Uuid>>;

pub(crate) async fn holders(
    db: &impl ConnectionTrait,
    seeds: &[peers::Model],
    digests: &[String],
    preheat: Option<i64>,
) -> Result<Holders, DbErr> {
    let ids: Vec<&String> = seeds.iter().map(|seed| &seed.id).collect();
    let mut holders = Holders::new();
    for digests in digests.chunks(VALUES_AT_ONCE) {
        let announced: Vec<(String, String)> = holdings::Entity::find()
            .select_only()
            .columns([holdings::Column::Digest, holdings::Column::PeerId])
            .filter(holdings::Column::Digest.is_in(digests))
            .filter(holdings::Column::PeerId.is_in(ids.iter().copied()))
            .into_tuple()
            .all(db)
            .await?;
        add(&mut holders, announced);
    }
    if let Some(preheat) = preheat {
        let proven: Vec<(String, String)> = placements::Entity::find()
            .select_only()
            .columns([placements::Column::Digest, placements::Column::PeerId])
            .filter(placements::Column::PreheatId.eq(preheat))
            .filter(placements::Column::State.eq(VERIFIED))
            .filter(placements::Column::PeerId.is_in(ids))
            .into_tuple()
            .all(db)
            .await?;
        add(&mut holders, proven);
    }
    Ok(holders)
}

fn add(holders: &mut Holders, rows: Vec<(String, String)>) {
    for (digest, peer) in rows {
        holders.entry(digest).or_default().insert(read_uuid(&peer));
    }
}
