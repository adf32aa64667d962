//! One preheat as it stands in the database. Nothing is asked of anybody.
//!
//! One that follows another shows what that one does: it has nothing of its own.

use std::collections::HashMap;

use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder};
use wire::TraceContext;

use crate::fault::StorageError;
use crate::followers::worker_of;
use crate::labels::Labels;
use crate::orders::kind_of;
use crate::peer_choice::PeerChoice;
use crate::preheater::{Preheater, read_uuid};
use crate::progress;
use crate::request::Priority;
use crate::rows::placements::state::{FAILED, OPEN, VERIFIED};
use crate::rows::{VALUES_AT_ONCE, lots, objects, peers, placements, preheats, read_size};
use crate::trace_pages::TracePages;
use crate::verdict::side_of;
use crate::views::{ObjectView, PlacementState, PlacementView, PreheatState, PreheatView};

pub async fn get(preheater: &Preheater, id: i64) -> Result<Option<PreheatView>, StorageError> {
    let db = preheater.inner.reads();
    let Some(row) = preheats::Entity::find_by_id(id).one(db).await? else {
        return Ok(None);
    };
    let pages = &preheater.inner.trace_pages;
    let worker = worker_of(db, row.clone()).await?;
    let mut view = view(row, pages);
    if view.state != PreheatState::Placing {
        return Ok(Some(view));
    }
    let moving: u64 = progress::of_preheat(db, worker.id).await?.values().sum();
    show_work_of(&mut view, &worker);
    view.bytes_done = view.bytes_done.saturating_add(moving).min(view.bytes_total);
    Ok(Some(view))
}

/// The counts of whoever does the work: the preheat itself, or its leader.
fn show_work_of(view: &mut PreheatView, worker: &preheats::Model) {
    view.digest.clone_from(&worker.digest);
    view.public = worker.public;
    view.objects_total = read_size(worker.objects_total);
    view.image_bytes = read_size(worker.image_bytes);
    view.bytes_total = read_size(worker.bytes_total);
    view.bytes_done = read_size(worker.bytes_done);
    view.placements_total = read_size(worker.placements_total);
    view.placements_open = read_size(worker.placements_open);
    view.placements_verified = read_size(worker.placements_verified);
    view.placements_failed = read_size(worker.placements_failed);
    view.updated_ms = view.updated_ms.max(worker.updated_ms);
}

pub(crate) fn view(row: preheats::Model, pages: &TracePages) -> PreheatView {
    let trace = row.trace.as_deref().and_then(TraceContext::parse);
    let trace_id = trace.map(|trace| trace.trace_id().to_owned());
    let scheme = if row.plain_http { "http" } else { "https" };
    let (registry, base, repository, reference) =
        (&row.registry, &row.base_path, &row.repository, &row.reference);
    PreheatView {
        id: row.id,
        url: format!("{scheme}://{registry}{base}/v2/{repository}/manifests/{reference}"),
        image: row.image,
        scope: row.scope.parse().unwrap_or_default(),
        clusters: serde_json::from_str(&row.clusters).unwrap_or_default(),
        platforms: serde_json::from_str(&row.platforms).unwrap_or_default(),
        state: PreheatState::of(&row.state),
        reason: row.reason,
        side: row.side.as_deref().map(side_of),
        digest: row.digest,
        public: row.public,
        objects_total: read_size(row.objects_total),
        image_bytes: read_size(row.image_bytes),
        bytes_total: read_size(row.bytes_total),
        bytes_done: read_size(row.bytes_done),
        placements_total: read_size(row.placements_total),
        placements_open: read_size(row.placements_open),
        placements_verified: read_size(row.placements_verified),
        placements_failed: read_size(row.placements_failed),
        created_ms: row.created_ms,
        updated_ms: row.updated_ms,
        finished_ms: row.finished_ms,
        trace_url: trace_id.as_deref().and_then(|id| pages.url_of(id)),
        trace_id,
        created_by: row.created_by,
        asked_by: row.asked_by,
        peers: row.peer_choice.map_or_else(PeerChoice::default, |text| {
            serde_json::from_str(&text).unwrap_or_default()
        }),
        priority: Priority::of_rank(row.priority),
        referrers: row.referrers,
        attempt: read_size(row.attempt),
        follows: row.follows,
        notes: row
            .notes
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default(),
        labels: Labels::from_json(row.labels.as_deref()),
        registry: row.registry,
        repository: row.repository,
        reference: row.reference,
    }
}

/// Every object of a preheat with its placements. A peer that has not begun stands with the root manifest.
pub async fn objects(preheater: &Preheater, id: i64) -> Result<Vec<ObjectView>, StorageError> {
    let db = preheater.inner.reads();
    let (id, root) = work_of(db, id).await?;
    let found = objects::Entity::find()
        .filter(objects::Column::PreheatId.eq(id))
        .order_by_asc(objects::Column::Class)
        .order_by_asc(objects::Column::Digest)
        .all(db)
        .await?;
    let placed = placements::Entity::find()
        .filter(placements::Column::PreheatId.eq(id))
        .order_by_asc(placements::Column::Id)
        .all(db)
        .await?;
    let lots = lots::Entity::find()
        .filter(lots::Column::PreheatId.eq(id))
        .all(db)
        .await?;
    let of_lots = lots.iter().map(|lot| &lot.peer_id);
    let peers = peers_named(db, placed.iter().map(|row| &row.peer_id).chain(of_lots)).await?;
    let moving = progress::of_preheat(db, id).await?;
    let sizes: HashMap<&str, u64> = found
        .iter()
        .map(|row| (row.digest.as_str(), read_size(row.size)))
        .collect();
    let taken: HashMap<i64, bool> = lots
        .iter()
        .map(|lot| (lot.work_id, lot.session.is_some()))
        .collect();
    let mut by_digest: HashMap<String, Vec<PlacementView>> = HashMap::new();
    for row in placed {
        let state = state_of(&row.state, taken.get(&row.work_id).copied().unwrap_or(false));
        let moved = moving
            .get(&(row.peer_id.clone(), row.digest.clone()))
            .copied()
            .unwrap_or(0);
        let size = sizes.get(row.digest.as_str()).copied().unwrap_or(0);
        let bytes_done = if state == PlacementState::Verified {
            size
        } else {
            moved.min(size)
        };
        let digest = row.digest.clone();
        by_digest
            .entry(digest)
            .or_default()
            .push(placement(row, state, bytes_done, &peers));
    }
    for lot in lots.iter().filter(|lot| !lot.expanded && lot.open > 0) {
        by_digest
            .entry(root.clone())
            .or_default()
            .push(waiting(lot, &peers));
    }
    Ok(found.into_iter().map(|row| object(row, &mut by_digest)).collect())
}

/// Under which id its rows stand, and its root manifest.
async fn work_of(db: &impl ConnectionTrait, id: i64) -> Result<(i64, String), DbErr> {
    let Some(preheat) = preheats::Entity::find_by_id(id).one(db).await? else {
        return Ok((id, String::new()));
    };
    let worker = worker_of(db, preheat).await?;
    Ok((worker.id, worker.digest.unwrap_or_default()))
}

fn object(row: objects::Model, placed: &mut HashMap<String, Vec<PlacementView>>) -> ObjectView {
    ObjectView {
        placements: placed.remove(&row.digest).unwrap_or_default(),
        kind: kind_of(row.class),
        digest: row.digest,
        media_type: row.media_type,
        size: read_size(row.size),
        platform: row.platform,
    }
}

fn state_of(word: &str, taken: bool) -> PlacementState {
    match word {
        VERIFIED => PlacementState::Verified,
        FAILED => PlacementState::Failed,
        OPEN if taken => PlacementState::Fetching,
        _ => PlacementState::Waiting,
    }
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

fn placement(
    row: placements::Model,
    state: PlacementState,
    bytes_done: u64,
    peers: &PeerNames,
) -> PlacementView {
    let (peer_name, peer_ip) = peers.get(&row.peer_id).cloned().unwrap_or_default();
    PlacementView {
        peer_id: read_uuid(&row.peer_id),
        peer_name,
        cluster_id: row.cluster_id,
        peer_ip,
        state,
        bytes_done,
        bytes_from_registry: read_size(row.bytes_from_registry),
        bytes_from_peers: read_size(row.bytes_from_peers),
        reason: row.reason,
        side: row.side.as_deref().map(side_of),
    }
}

fn waiting(lot: &lots::Model, peers: &PeerNames) -> PlacementView {
    let (peer_name, peer_ip) = peers.get(&lot.peer_id).cloned().unwrap_or_default();
    PlacementView {
        peer_id: read_uuid(&lot.peer_id),
        peer_name,
        cluster_id: lot.cluster_id,
        peer_ip,
        state: PlacementState::Waiting,
        bytes_done: 0,
        bytes_from_registry: 0,
        bytes_from_peers: 0,
        reason: None,
        side: None,
    }
}
