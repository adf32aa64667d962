//! The preheats of an image: which one an explanation is about, and what it did on the node.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect};

use super::facts::{Failure, NodeFacts, Placed, Preheated};
use crate::engine::preheater::Inner;
use crate::image::contents;
use crate::image::contents::ImageObject;
use crate::look::get::{view, waits_for};
use crate::model::errors::{DamagedRow, StorageError};
use crate::model::state::StoredPlacement;
use crate::rows::find::{peers_named, worker_of};
use crate::rows::placements::FAILED;
use crate::rows::{lots, placements, preheats, tokens};

/// Returns the most relevant preheat for this node.
pub(super) async fn judged(
    inner: &Inner,
    rows: &[preheats::Model],
    now: Option<&str>,
    node: &NodeFacts,
) -> Result<Option<Preheated>, StorageError> {
    let on_node = on_node(inner, rows, node).await?;
    let Some(row) = chosen(rows, now, &on_node) else {
        return Ok(None);
    };
    let newest = rows.first().map(|row| row.id).filter(|newest| *newest != row.id);
    read(inner, row.clone(), newest, node).await.map(Some)
}

/// Prefers a preheat of the current digest, then one that was for this node, then the newest.
fn chosen<'a>(
    rows: &'a [preheats::Model],
    now: Option<&str>,
    on_node: &HashSet<i64>,
) -> Option<&'a preheats::Model> {
    let guessed = rows.iter().find_map(|row| row.digest.as_deref());
    let meant = now.or(guessed);
    let begins = |row: &preheats::Model| row.digest.is_none() && row.finished_ms.is_none();
    rows.iter().max_by_key(|row| {
        let brings_it = begins(row) || (row.digest.is_some() && row.digest.as_deref() == meant);
        (brings_it, on_node.contains(&row.id), row.digest.is_some(), row.id)
    })
}

async fn on_node(
    inner: &Inner,
    rows: &[preheats::Model],
    node: &NodeFacts,
) -> Result<HashSet<i64>, StorageError> {
    let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
    let placed: Vec<i64> = placements::Entity::find()
        .select_only()
        .column(placements::Column::PreheatId)
        .distinct()
        .filter(placements::Column::PreheatId.is_in(ids.iter().copied()))
        .filter(placements::Column::PeerId.eq(node.id.to_string()))
        .into_tuple()
        .all(inner.reads())
        .await?;
    let waiting: Vec<i64> = lots::Entity::find()
        .select_only()
        .column(lots::Column::PreheatId)
        .filter(lots::Column::PreheatId.is_in(ids))
        .filter(lots::Column::PeerId.eq(node.id.to_string()))
        .into_tuple()
        .all(inner.reads())
        .await?;
    Ok(placed.into_iter().chain(waiting).collect())
}

async fn read(
    inner: &Inner,
    row: preheats::Model,
    newest: Option<i64>,
    node: &NodeFacts,
) -> Result<Preheated, StorageError> {
    // The placements of a follower are its leader's.
    let worker = worker_of(inner.reads(), row.clone()).await?;
    let waits_for = waits_for(inner, &worker).await?;
    let worker = worker.id;
    let placed = placed(inner, worker, node).await?;
    let view = view(row, &inner.trace_pages)?;
    Ok(Preheated {
        id: view.id,
        state: view.state,
        scope: view.scope,
        reason: waits_for.or(view.reason),
        side: view.side,
        created_ms: view.created_ms,
        finished_ms: view.finished_ms,
        asked_by: view.asked_by,
        token: token_name(inner, view.created_by.as_deref()).await?,
        trace_id: view.trace_id,
        trace_url: view.trace_url,
        newest,
        digest: view.digest,
        objects: contents::of_preheat(inner, worker)
            .await?
            .into_iter()
            .map(|object| object.digest)
            .collect(),
        lot_waits: lot_waits(inner, worker, node).await?,
        in_cluster: in_cluster(inner, view.id, node).await?,
        failed_elsewhere: failed_elsewhere(inner, view.id, node).await?,
        placed,
    })
}

async fn token_name(inner: &Inner, id: Option<&str>) -> Result<Option<String>, StorageError> {
    let Some(id) = id else {
        return Ok(None);
    };
    let row = tokens::Entity::find_by_id(id).one(inner.reads()).await?;
    Ok(row.map(|row| row.name))
}

async fn placed(
    inner: &Inner,
    preheat: i64,
    node: &NodeFacts,
) -> Result<BTreeMap<String, Placed>, StorageError> {
    let rows = placements::Entity::find()
        .filter(placements::Column::PreheatId.eq(preheat))
        .filter(placements::Column::PeerId.eq(node.id.to_string()))
        .all(inner.reads())
        .await?;
    rows.into_iter()
        .map(|row| Ok((row.digest.clone(), outcome(row)?)))
        .collect()
}

fn outcome(row: placements::Model) -> Result<Placed, DamagedRow> {
    Ok(match row.state()? {
        StoredPlacement::Verified => Placed::Verified,
        StoredPlacement::Failed => Placed::Failed(Failure {
            side: row.side()?,
            reason: row.reason.unwrap_or_default(),
        }),
        StoredPlacement::Open => Placed::Open,
    })
}

async fn lot_waits(inner: &Inner, preheat: i64, node: &NodeFacts) -> Result<bool, StorageError> {
    let waiting = lots::Entity::find()
        .filter(lots::Column::PreheatId.eq(preheat))
        .filter(lots::Column::PeerId.eq(node.id.to_string()))
        .filter(lots::Column::Expanded.eq(false))
        .filter(lots::Column::Open.gt(0));
    Ok(waiting.count(inner.reads()).await? > 0)
}

async fn in_cluster(inner: &Inner, preheat: i64, node: &NodeFacts) -> Result<bool, StorageError> {
    let there = placements::Entity::find()
        .filter(placements::Column::PreheatId.eq(preheat))
        .filter(placements::Column::ClusterId.eq(node.cluster_id))
        .limit(1);
    Ok(there.count(inner.reads()).await? > 0)
}

async fn failed_elsewhere(
    inner: &Inner,
    preheat: i64,
    node: &NodeFacts,
) -> Result<BTreeMap<String, Failure>, StorageError> {
    let rows = placements::Entity::find()
        .filter(placements::Column::PreheatId.eq(preheat))
        .filter(placements::Column::State.eq(FAILED))
        .filter(placements::Column::ClusterId.eq(node.cluster_id))
        .filter(placements::Column::PeerId.ne(node.id.to_string()))
        .filter(placements::Column::PeerLeft.eq(false))
        .order_by_desc(placements::Column::Id)
        .limit(u64::try_from(inner.limits.max_objects).unwrap_or(u64::MAX))
        .all(inner.reads())
        .await?;
    let names = peers_named(inner.reads(), rows.iter().map(|row| &row.peer_id)).await?;
    let failure = |row: placements::Model| {
        let peer = names
            .get(&row.peer_id)
            .map(|(name, _)| name.clone())
            .unwrap_or_default();
        let side = row.side()?;
        let reason = format!("on {peer}: {}", row.reason.unwrap_or_default());
        Ok((row.digest, Failure { reason, side }))
    };
    // The oldest row of a digest is the seed's own. Later rows only repeat that the seed failed.
    rows.into_iter().map(failure).collect()
}

/// Returns the platforms that the request of this preheat names.
pub(super) fn platforms(rows: &[preheats::Model], id: Option<i64>) -> Result<Vec<oci::Platform>, DamagedRow> {
    let row = rows.iter().find(|row| Some(row.id) == id);
    row.map_or_else(|| Ok(Vec::new()), preheats::Model::platforms)
}

/// The digests that the node is asked about.
pub(super) fn digests(objects: &[ImageObject]) -> BTreeSet<String> {
    objects.iter().map(|object| object.digest.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preheat(id: i64, digest: Option<&str>, is_open: bool) -> preheats::Model {
        let mut row = preheats::Model::example();
        row.id = id;
        row.digest = digest.map(str::to_owned);
        row.finished_ms = (!is_open).then_some(1);
        row
    }

    fn id(rows: &[preheats::Model], now: Option<&str>, on_node: &[i64]) -> Option<i64> {
        chosen(rows, now, &on_node.iter().copied().collect()).map(|row| row.id)
    }

    #[test]
    fn a_preheat_of_what_the_tag_means_now_comes_before_an_older_one_that_was_for_the_node() {
        let rows = [preheat(2, Some("b"), false), preheat(1, Some("a"), false)];
        assert_eq!(id(&rows, Some("b"), &[1]), Some(2));
        assert_eq!(id(&rows, Some("a"), &[1]), Some(1));
        assert_eq!(id(&rows, None, &[1]), Some(2), "the newest is the best guess");
        assert_eq!(id(&rows, Some("c"), &[1]), Some(1));
        assert_eq!(id(&[], None, &[]), None);
    }

    #[test]
    fn among_preheats_of_the_same_the_one_for_the_node_counts() {
        let rows = [
            preheat(3, Some("a"), false),
            preheat(2, Some("a"), false),
            preheat(1, Some("a"), false),
        ];
        assert_eq!(id(&rows, Some("a"), &[1, 2]), Some(2));
        assert_eq!(id(&rows, Some("a"), &[]), Some(3));
    }

    #[test]
    fn one_that_has_only_begun_counts_and_one_that_never_found_the_image_does_not() {
        let begun = [preheat(2, None, true), preheat(1, Some("a"), false)];
        assert_eq!(id(&begun, Some("b"), &[]), Some(2));
        let failed = [preheat(2, None, false), preheat(1, Some("a"), false)];
        assert_eq!(id(&failed, Some("b"), &[]), Some(1));
        assert_eq!(id(&failed[..1], Some("b"), &[]), Some(2));
    }
}
