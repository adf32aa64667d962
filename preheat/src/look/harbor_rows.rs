//! A preheat's placements as Harbor's table shows them: failures first, a bounded number, and how many more.

use std::collections::HashMap;

use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect};
use wire::ObjectKind;

use super::views::{HarborRow, HarborRows};
use crate::engine::preheater::Preheater;
use crate::model::errors::StorageError;
use crate::model::state::StoredPlacement;
use crate::rows::find::{peers_named, worker_of};
use crate::rows::placements::{FAILED, VERIFIED};
use crate::rows::{VALUES_AT_ONCE, objects, placements, preheats};

/// Open placements are neither ok nor failed; Harbor asks for rows once the preheat has ended, when none is open.
pub async fn harbor_rows(preheater: &Preheater, id: i64, limit: u64) -> Result<HarborRows, StorageError> {
    let db = preheater.inner.reads();
    let Some(preheat) = preheats::Entity::find_by_id(id).one(db).await? else {
        return Ok(HarborRows::default());
    };
    let id = worker_of(db, preheat.clone()).await?.id;
    let of_preheat = placements::Entity::find()
        .filter(placements::Column::PreheatId.eq(id))
        .filter(placements::Column::State.is_in([FAILED, VERIFIED]));
    let all = of_preheat.clone().count(db).await?;
    let rows = of_preheat
        .order_by_asc(placements::Column::State)
        .order_by_asc(placements::Column::Id)
        .limit(limit)
        .all(db)
        .await?;
    let peers = peers_named(db, rows.iter().map(|row| &row.peer_id)).await?;
    let mut kinds: HashMap<String, ObjectKind> = HashMap::new();
    for rows in rows.chunks(VALUES_AT_ONCE) {
        let found = objects::Entity::find()
            .filter(objects::Column::PreheatId.eq(id))
            .filter(objects::Column::Digest.is_in(rows.iter().map(|row| &row.digest)))
            .all(db)
            .await?;
        for object in found {
            let kind = object.class()?.kind();
            kinds.insert(object.digest, kind);
        }
    }
    let row = |row: placements::Model| {
        let (hostname, ip) = peers.get(&row.peer_id).cloned().unwrap_or_default();
        let ok = row.state()? == StoredPlacement::Verified;
        Ok(HarborRow {
            url: url(&preheat, kinds.get(&row.digest), &row.digest),
            hostname,
            ip,
            cluster_id: row.cluster_id,
            ok,
            description: if ok {
                "verified on disk".to_owned()
            } else {
                row.reason.unwrap_or_default()
            },
        })
    };
    let rows: Vec<HarborRow> = rows.into_iter().map(row).collect::<Result<_, StorageError>>()?;
    Ok(HarborRows {
        left_out: all.saturating_sub(rows.len() as u64),
        rows,
    })
}

fn url(preheat: &preheats::Model, kind: Option<&ObjectKind>, digest: &str) -> String {
    let scheme = if preheat.plain_http { "http" } else { "https" };
    let folder = if kind == Some(&ObjectKind::Blob) {
        "blobs"
    } else {
        "manifests"
    };
    let preheats::Model {
        registry,
        base_path,
        repository,
        ..
    } = preheat;
    format!("{scheme}://{registry}{base_path}/v2/{repository}/{folder}/{digest}")
}
