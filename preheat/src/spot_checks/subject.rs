//! Draws the subject of a check: a placement that a live seed has verified, a part of its object, and its other
//! holders.
//!
//! **Invariant:** each query uses a key or an index and reads a bounded number of rows.

use sea_orm::{ColumnTrait, DbErr, EntityTrait, Order, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::decide::{Witness, compared_part, in_order};
use super::draw::Draw;
use crate::engine::preheater::Inner;
use crate::image::location;
use crate::rows::damaged::or_skip;
use crate::rows::placements::VERIFIED;
use crate::rows::{VALUES_AT_ONCE, holdings, objects, peers, placements, preheats, read_size};

/// Placements that are looked at for one that a live seed has verified.
const LOOKED_AT: i64 = 20_000;
/// Holders of one object that are looked at.
const HOLDERS: u64 = 200;

/// The object, the range and the seed that are checked.
pub(super) struct Subject {
    pub(super) seed: Uuid,
    pub(super) name: String,
    pub(super) share_url: String,
    pub(super) digest: String,
    pub(super) location: String,
    pub(super) first: u64,
    pub(super) length: u64,
    /// In the order in which they are asked.
    pub(super) witnesses: Vec<Witness>,
}

pub(super) async fn drawn(inner: &Inner, draw: Draw) -> Result<Option<Subject>, DbErr> {
    let seeds = live_seeds(inner).await?;
    let Some(placement) = placement(inner, &seeds, draw.placement).await? else {
        return Ok(None);
    };
    let (mut checked, others): (Vec<_>, Vec<_>) =
        seeds.into_iter().partition(|seed| seed.id == placement.peer_id);
    let Some(seed) = checked.pop() else {
        return Ok(None);
    };
    let key = (placement.preheat_id, placement.digest.clone());
    let object = objects::Entity::find_by_id(key).one(inner.reads()).await?;
    let preheat = preheats::Entity::find_by_id(placement.preheat_id);
    let preheat = preheat.one(inner.reads()).await?;
    let range = object.and_then(|object| compared_part(read_size(object.size), draw.piece));
    let location = preheat.and_then(|preheat| location::of_preheat(inner, &preheat).ok());
    let (Some((first, length)), Some(location)) = (range, location) else {
        return Ok(None);
    };
    let witnesses = in_order(
        holders(inner, &seed, &placement.digest, &others).await?,
        draw.witness,
    );
    Ok(Some(Subject {
        seed: seed.uuid()?,
        name: seed.name,
        share_url: seed.share_url,
        digest: placement.digest,
        location: location.to_string(),
        first,
        length,
        witnesses,
    }))
}

async fn live_seeds(inner: &Inner) -> Result<Vec<peers::Model>, DbErr> {
    peers::Entity::find()
        .filter(peers::Column::Seed.eq(true))
        .filter(peers::Column::Session.is_not_null())
        .limit(VALUES_AT_ONCE as u64)
        .all(inner.reads())
        .await
}

/// Returns a random placement that one of these seeds has verified. After the last row it continues at the first.
async fn placement(
    inner: &Inner,
    seeds: &[peers::Model],
    draw: u64,
) -> Result<Option<placements::Model>, DbErr> {
    let (Some(first), Some(last)) = (end(inner, Order::Asc).await?, end(inner, Order::Desc).await?) else {
        return Ok(None);
    };
    let count = last.saturating_sub(first).saturating_add(1);
    let drawn = i64::try_from(draw % count.unsigned_abs()).unwrap_or(0);
    for from in [first + drawn, first] {
        let found = placements::Entity::find()
            .filter(placements::Column::Id.between(from, from.saturating_add(LOOKED_AT)))
            .filter(placements::Column::State.eq(VERIFIED))
            .filter(placements::Column::PeerId.is_in(seeds.iter().map(|seed| &seed.id)))
            .order_by_asc(placements::Column::Id)
            .one(inner.reads())
            .await?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// The lowest or the highest id.
async fn end(inner: &Inner, order: Order) -> Result<Option<i64>, DbErr> {
    let row = placements::Entity::find()
        .order_by(placements::Column::Id, order)
        .one(inner.reads())
        .await?;
    Ok(row.map(|row| row.id))
}

/// Live peers of the seed's cluster that say that they hold the object, but for the seed: all other seeds, and some
/// nodes.
async fn holders(
    inner: &Inner,
    seed: &peers::Model,
    digest: &str,
    others: &[peers::Model],
) -> Result<Vec<Witness>, DbErr> {
    let holding = || {
        holdings::Entity::find()
            .select_only()
            .column(holdings::Column::PeerId)
            .filter(holdings::Column::Digest.eq(digest))
            .limit(HOLDERS)
    };
    let seeds = others.iter().filter(|other| other.cluster_id == seed.cluster_id);
    let seeds = holding().filter(holdings::Column::PeerId.is_in(seeds.map(|other| &other.id)));
    let mut ids: Vec<String> = seeds.into_tuple().all(inner.reads()).await?;
    let any = holding().filter(holdings::Column::PeerId.ne(&seed.id));
    ids.extend(any.into_tuple::<String>().all(inner.reads()).await?);
    let rows = peers::Entity::find()
        .filter(peers::Column::Id.is_in(ids))
        .filter(peers::Column::Session.is_not_null())
        .filter(peers::Column::ClusterId.eq(seed.cluster_id))
        .all(inner.reads())
        .await?;
    let witness = |row: peers::Model| {
        Some(Witness {
            peer: or_skip(row.uuid())?,
            name: row.name,
            seed: row.seed,
            token: row.token_id,
        })
    };
    Ok(rows.into_iter().filter_map(witness).collect())
}
