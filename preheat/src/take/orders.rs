//! Completes lots with everything that a peer needs to fetch them.
//!
//! **Invariant:** the objects that one response carries have a bounded size. Lots beyond it are handed out again later.

use std::collections::HashMap;

use oci::Location;
use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter};
use wire::{
    EmbeddedBytes, Lot, LotPlacement, PublicObjects, SeedAddress, Signed, TagMeaning, TagRecord,
    TraceContext, seeds_in_order,
};

use crate::engine::preheater::Inner;
use crate::image::location;
use crate::memory::sessions::SessionPeer;
use crate::model::class::Class;
use crate::peers::parents::{HoldersByDigest, PARENTS, holders};
use crate::peers::{clusters, seeds};
use crate::rows::placements::OPEN;
use crate::rows::{lots, objects, placements, preheats, read_size};

/// Bytes of objects that one response carries, besides those of its first lot.
const BYTES_AT_ONCE: usize = 8 * 1024 * 1024;

pub(crate) async fn lots(
    inner: &Inner,
    peer: &SessionPeer,
    taken: Vec<lots::Model>,
) -> Result<Vec<Lot>, DbErr> {
    let mut lots = Vec::with_capacity(taken.len());
    if taken.is_empty() {
        return Ok(lots);
    }
    let seeds = seeds::live_seeds(inner.reads(), peer.cluster_id).await?;
    let mut carried = 0;
    for lot in taken {
        let preheat = preheats::Entity::find_by_id(lot.preheat_id)
            .one(inner.reads())
            .await?;
        // A preheat that has ended in between is found out by the peer's next progress report.
        if let Some(preheat) = preheat.filter(|preheat| preheat.finished_ms.is_none()) {
            let lot = order(inner, peer, &seeds, &lot, preheat).await?;
            carried += bytes_of(&lot);
            if carried > BYTES_AT_ONCE && !lots.is_empty() {
                break;
            }
            lots.push(lot);
        }
    }
    Ok(lots)
}

fn bytes_of(lot: &Lot) -> usize {
    let carried = lot.placements.iter().filter_map(|order| order.bytes.as_ref());
    carried.map(|bytes| bytes.bytes().len()).sum()
}

async fn order(
    inner: &Inner,
    peer: &SessionPeer,
    seeds: &[SeedAddress],
    lot: &lots::Model,
    preheat: preheats::Model,
) -> Result<Lot, DbErr> {
    let location = location::of_preheat(inner, &preheat).map_err(|bad| DbErr::Custom(bad.to_string()))?;
    let open = open_objects(inner, lot).await?;
    let digests: Vec<String> = open.iter().map(|(_, object)| object.digest.clone()).collect();
    let others: Vec<SeedAddress> = seeds
        .iter()
        .filter(|seed| seed.peer != peer.id)
        .cloned()
        .collect();
    let holders = holders(inner.reads(), &others, &digests, Some(preheat.id)).await?;
    let cluster = clusters::name_of(inner, lot.cluster_id).await?;
    let carries_root = preheat.digest.as_ref().is_some_and(|root| digests.contains(root));
    let placements: Vec<LotPlacement> = open
        .into_iter()
        .map(|(class, object)| {
            let parents = parents(&cluster, &object.digest, &others, &holders);
            placement(&location, class, object, parents, peer.seed)
        })
        .collect();
    let trace = queue::work_of(inner.reads(), lot.work_id)
        .await?
        .and_then(|work| work.trace);
    Ok(Lot {
        work: lot.work_id,
        fence: lot.fence.unwrap_or_default(),
        preheat: preheat.id,
        trace: trace.as_deref().and_then(TraceContext::parse),
        tag: if carries_root {
            signed_tag(inner, &cluster, &preheat, &location)
        } else {
            None
        },
        public: signed_public(inner, &cluster, &preheat, &location, &placements),
        placements,
        credential: if peer.seed { preheat.credential } else { None },
        image: preheat.image,
    })
}

/// The objects of the lot that are open, in the order in which the peer fetches them.
async fn open_objects(inner: &Inner, lot: &lots::Model) -> Result<Vec<(Class, objects::Model)>, DbErr> {
    let open: Vec<placements::Model> = placements::Entity::find()
        .filter(placements::Column::WorkId.eq(lot.work_id))
        .filter(placements::Column::State.eq(OPEN))
        .all(inner.reads())
        .await?;
    let objects = objects::Entity::find().filter(objects::Column::PreheatId.eq(lot.preheat_id));
    let mut by_digest: HashMap<String, objects::Model> = objects
        .all(inner.reads())
        .await?
        .into_iter()
        .map(|object| (object.digest.clone(), object))
        .collect();
    let mut classed = Vec::with_capacity(open.len());
    for object in open.iter().filter_map(|row| by_digest.remove(&row.digest)) {
        classed.push((object.class()?, object));
    }
    classed.sort_by(|one, other| (one.0, &one.1.digest).cmp(&(other.0, &other.1.digest)));
    Ok(classed)
}

fn parents(cluster: &str, digest: &str, seeds: &[SeedAddress], holders: &HoldersByDigest) -> Vec<String> {
    let Some(having) = holders.get(digest) else {
        return Vec::new();
    };
    let having: Vec<&SeedAddress> = seeds.iter().filter(|seed| having.contains(&seed.peer)).collect();
    let ordered = seeds_in_order(cluster, digest, &having, |seed| seed.peer);
    ordered
        .into_iter()
        .take(PARENTS)
        .map(|seed| seed.share_url.clone())
        .collect()
}

fn placement(
    location: &Location,
    class: Class,
    object: objects::Model,
    parents: Vec<String>,
    is_seed: bool,
) -> LotPlacement {
    let bytes = object.bytes.filter(|_| is_seed);
    LotPlacement {
        bytes: bytes.map(EmbeddedBytes::new),
        kind: class.kind(),
        digest: object.digest,
        size: read_size(object.size),
        media_type: object.media_type,
        location: location.to_string(),
        parents,
    }
}

/// The tag meaning, for the peers of this cluster.
fn signed_tag(
    inner: &Inner,
    cluster: &str,
    preheat: &preheats::Model,
    location: &Location,
) -> Option<Signed<TagMeaning>> {
    inner.signing.sign(&TagMeaning {
        cluster: cluster.to_owned(),
        record: tag_record(preheat, location)?,
    })
}

/// One record for all objects of the lot: a lot costs one signature, however many objects it has.
fn signed_public(
    inner: &Inner,
    cluster: &str,
    preheat: &preheats::Model,
    location: &Location,
    placements: &[LotPlacement],
) -> Option<Signed<PublicObjects>> {
    let found_ms = preheat.resolved_ms.filter(|_| preheat.public)?;
    let digests = placements.iter().map(|order| order.digest.as_str());
    let record = PublicObjects::over(cluster, &location.to_string(), digests, found_ms)?;
    inner.signing.sign(&record)
}

/// Returns what the tag meant: as the registry answered, or as the request stated that came by digest.
fn tag_record(preheat: &preheats::Model, location: &Location) -> Option<TagRecord> {
    let resolved_ms = preheat.resolved_ms?;
    let asked_by_tag = preheat.tag.as_ref() == Some(&preheat.reference);
    Some(TagRecord {
        location: location.to_string(),
        tag: preheat.tag.clone()?,
        digest: preheat.digest.clone()?,
        media_type: preheat.media_type.clone()?,
        seen_unix_ms: if asked_by_tag {
            resolved_ms
        } else {
            preheat.created_ms
        },
    })
}
