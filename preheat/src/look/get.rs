//! Reads one preheat from the database.
//!
//! A follower shows the counts of its leader: it has none of its own.

use std::collections::HashMap;

use oci::RegistryName;
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder};
use wire::TraceContext;

use super::moving;
use super::views::{ObjectView, PlacementView, PreheatView};
use crate::engine::preheater::{Inner, Preheater};
use crate::model::errors::{DamagedRow, StorageError};
use crate::model::request::Priority;
use crate::model::state::{PlacementState, PreheatState, StoredPlacement};
use crate::model::trace_pages::TracePages;
use crate::rows::find::{PeerNames, peers_named, worker_of};
use crate::rows::{lots, objects, placements, preheats, read_size};

pub async fn get(preheater: &Preheater, id: i64) -> Result<Option<PreheatView>, StorageError> {
    let db = preheater.inner.reads();
    let Some(row) = preheats::Entity::find_by_id(id).one(db).await? else {
        return Ok(None);
    };
    let pages = &preheater.inner.trace_pages;
    let worker = worker_of(db, row.clone()).await?;
    let mut view = view(row, pages)?;
    if view.state != PreheatState::Placing {
        return Ok(Some(view));
    }
    let moving: u64 = moving::of_preheat(db, worker.id).await?.values().sum();
    show_work_of(&mut view, &worker);
    view.bytes_done = view.bytes_done.saturating_add(moving).min(view.bytes_total);
    let waits_for = waits_for(&preheater.inner, &worker).await?;
    view.reason = waits_for.or(view.reason);
    Ok(Some(view))
}

/// What an open preheat waits for, as the peers that work on it report.
pub(crate) async fn waits_for(
    inner: &Inner,
    worker: &preheats::Model,
) -> Result<Option<String>, StorageError> {
    let Ok(registry) = RegistryName::parse(&worker.registry, worker.plain_http) else {
        return Ok(None);
    };
    let registry = inner.registries.canonical(&registry);
    Ok(moving::waits_for(inner.reads(), worker.id, &registry).await?)
}

/// Shows the counts of the preheat that does the work: itself or its leader.
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

pub(crate) fn view(row: preheats::Model, pages: &TracePages) -> Result<PreheatView, DamagedRow> {
    let trace = row.trace.as_deref().and_then(TraceContext::parse);
    let trace_id = trace.map(|trace| trace.trace_id().to_owned());
    let scheme = if row.plain_http { "http" } else { "https" };
    let (registry, base, repository, reference) =
        (&row.registry, &row.base_path, &row.repository, &row.reference);
    Ok(PreheatView {
        id: row.id,
        url: format!("{scheme}://{registry}{base}/v2/{repository}/manifests/{reference}"),
        scope: row.scope()?,
        clusters: row.clusters()?,
        platforms: row.platforms()?.iter().map(ToString::to_string).collect(),
        state: row.state()?,
        side: row.side()?,
        asked_by: row.requester()?.word().to_owned(),
        peers: row.peer_choice()?,
        notes: row.notes()?,
        labels: row.labels()?,
        image: row.image,
        reason: row.reason,
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
        priority: Priority::of_rank(row.priority),
        referrers: row.referrers,
        attempt: read_size(row.attempt),
        follows: row.follows,
        registry: row.registry,
        repository: row.repository,
        reference: row.reference,
    })
}

/// Returns every object of a preheat with its placements. A peer that has not begun is listed at the root manifest.
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
    let moving = moving::of_preheat(db, id).await?;
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
        let state = state_of(row.state()?, taken.get(&row.work_id).copied().unwrap_or(false));
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
            .push(placement(row, state, bytes_done, &peers)?);
    }
    for lot in lots.iter().filter(|lot| !lot.expanded && lot.open > 0) {
        by_digest
            .entry(root.clone())
            .or_default()
            .push(waiting(lot, &peers)?);
    }
    found
        .into_iter()
        .map(|row| Ok(object(row, &mut by_digest)?))
        .collect()
}

/// Returns the id that its rows have, and its root manifest.
async fn work_of(db: &impl ConnectionTrait, id: i64) -> Result<(i64, String), DbErr> {
    let Some(preheat) = preheats::Entity::find_by_id(id).one(db).await? else {
        return Ok((id, String::new()));
    };
    let worker = worker_of(db, preheat).await?;
    Ok((worker.id, worker.digest.unwrap_or_default()))
}

fn object(
    row: objects::Model,
    placed: &mut HashMap<String, Vec<PlacementView>>,
) -> Result<ObjectView, DamagedRow> {
    Ok(ObjectView {
        placements: placed.remove(&row.digest).unwrap_or_default(),
        kind: row.class()?.kind(),
        digest: row.digest,
        media_type: row.media_type,
        size: read_size(row.size),
        platform: row.platform,
    })
}

fn state_of(stored: StoredPlacement, taken: bool) -> PlacementState {
    match stored {
        StoredPlacement::Verified => PlacementState::Verified,
        StoredPlacement::Failed => PlacementState::Failed,
        StoredPlacement::Open if taken => PlacementState::Fetching,
        StoredPlacement::Open => PlacementState::Waiting,
    }
}

fn placement(
    row: placements::Model,
    state: PlacementState,
    bytes_done: u64,
    peers: &PeerNames,
) -> Result<PlacementView, DamagedRow> {
    let (peer_name, peer_ip) = peers.get(&row.peer_id).cloned().unwrap_or_default();
    Ok(PlacementView {
        peer_id: row.peer()?,
        side: row.side()?,
        peer_name,
        cluster_id: row.cluster_id,
        peer_ip,
        state,
        bytes_done,
        bytes_from_registry: read_size(row.bytes_from_registry),
        bytes_from_peers: read_size(row.bytes_from_peers),
        reason: row.reason,
    })
}

fn waiting(lot: &lots::Model, peers: &PeerNames) -> Result<PlacementView, DamagedRow> {
    let (peer_name, peer_ip) = peers.get(&lot.peer_id).cloned().unwrap_or_default();
    Ok(PlacementView {
        peer_id: lot.peer()?,
        peer_name,
        cluster_id: lot.cluster_id,
        peer_ip,
        state: PlacementState::Waiting,
        bytes_done: 0,
        bytes_from_registry: 0,
        bytes_from_peers: 0,
        reason: None,
        side: None,
    })
}
