//! Placements of a lot: opened, failed, and expanded. In stage 1, objects that no seed got fail too.

use std::collections::HashMap;

use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use wire::Side;

use super::counts::{count_in_lot, count_in_preheat};
use crate::model::closed::Closed;
use crate::model::text::cut;
use crate::rows::find::peer_name;
use crate::rows::placements::{FAILED, OPEN};
use crate::rows::{ROWS_AT_ONCE, VALUES_AT_ONCE, lots, objects, placements, preheats};

/// Why the seeds of a cluster lack an object, as text for the placements that depend on them.
struct Lacking {
    reason: String,
    side: Side,
}

/// Closes the stage 1 placements of objects that no seed got, and returns their count. The caller unparks the rest.
pub(crate) async fn begin_next(
    txn: &impl ConnectionTrait,
    preheat: i64,
    cluster: i64,
    now: i64,
) -> Result<Closed, DbErr> {
    let lacking = lacking(txn, preheat, cluster).await?;
    if lacking.is_empty() {
        return Ok(Closed::default());
    }
    let waiting = lots::Entity::find()
        .filter(lots::Column::PreheatId.eq(preheat))
        .filter(lots::Column::ClusterId.eq(cluster))
        .filter(lots::Column::Stage.eq(1))
        .filter(lots::Column::Open.gt(0))
        .all(txn)
        .await?;
    let mut all = Closed::default();
    for lot in waiting {
        let failed = if lot.expanded {
            fail_lacking(txn, &lot, &lacking).await?
        } else {
            fail_unwritten(txn, &lot, &lacking).await?
        };
        count_in_lot(txn, lot.work_id, failed.count()).await?;
        all.add(failed);
    }
    count_in_preheat(txn, preheat, all, now).await?;
    Ok(all)
}

/// For a lot that is not expanded. A row is written only if no other row of the lot will be.
async fn fail_unwritten(
    txn: &impl ConnectionTrait,
    lot: &lots::Model,
    lacking: &HashMap<String, Lacking>,
) -> Result<Closed, DbErr> {
    let open = usize::try_from(lot.open).unwrap_or(usize::MAX);
    let mut failed = Closed::default();
    for why in lacking.values().take(open) {
        failed.add_failed(1, why.side);
    }
    if failed.count() == lot.open
        && let Some((digest, why)) = lacking.iter().next()
    {
        insert_failed(txn, lot, digest, &why.reason, why.side).await?;
    }
    Ok(failed)
}

/// Digest -> why no seed of this cluster got it.
async fn lacking(
    txn: &impl ConnectionTrait,
    preheat: i64,
    cluster: i64,
) -> Result<HashMap<String, Lacking>, DbErr> {
    let first_lots: Vec<i64> = lots::Entity::find()
        .select_only()
        .column(lots::Column::WorkId)
        .filter(lots::Column::PreheatId.eq(preheat))
        .filter(lots::Column::ClusterId.eq(cluster))
        .filter(lots::Column::Stage.eq(0))
        .into_tuple()
        .all(txn)
        .await?;
    let mut lacking = HashMap::new();
    for first_lots in first_lots.chunks(VALUES_AT_ONCE) {
        let failed = placements::Entity::find()
            .filter(placements::Column::PreheatId.eq(preheat))
            .filter(placements::Column::State.eq(FAILED))
            .filter(placements::Column::WorkId.is_in(first_lots.iter().copied()))
            .all(txn)
            .await?;
        for row in failed {
            let seed = peer_name(txn, &row.peer_id).await?;
            let reason = format!(
                "seed {seed} could not fetch it: {}",
                row.reason.as_deref().unwrap_or("no reason given")
            );
            let side = row.side()?.unwrap_or(Side::Manager);
            lacking.insert(
                row.digest,
                Lacking {
                    reason: cut(&reason),
                    side,
                },
            );
        }
    }
    Ok(lacking)
}

async fn fail_lacking(
    txn: &impl ConnectionTrait,
    lot: &lots::Model,
    lacking: &HashMap<String, Lacking>,
) -> Result<Closed, DbErr> {
    let mut failed = Closed::default();
    for (digest, why) in lacking {
        let update =
            fail_where(lot.work_id, &why.reason, why.side).filter(placements::Column::Digest.eq(digest));
        let rows = update.exec(txn).await?.rows_affected;
        failed.add_failed(i64::try_from(rows).unwrap_or(0), why.side);
    }
    Ok(failed)
}

fn fail_where(work: i64, reason: &str, side: Side) -> sea_orm::UpdateMany<placements::Entity> {
    placements::Entity::update_many()
        .col_expr(placements::Column::State, Expr::value(FAILED))
        .col_expr(placements::Column::Reason, Expr::value(cut(reason)))
        .col_expr(placements::Column::Side, Expr::value(side.word()))
        .filter(placements::Column::WorkId.eq(work))
        .filter(placements::Column::State.eq(OPEN))
}

/// Fails all that is open of one lot because its peer left; the caller counts it.
pub(crate) async fn fail_left(
    txn: &impl ConnectionTrait,
    lot: &lots::Model,
    root: &str,
    reason: &str,
) -> Result<(), DbErr> {
    if lot.expanded {
        let update = fail_where(lot.work_id, reason, Side::Peer)
            .col_expr(placements::Column::PeerLeft, Expr::value(true));
        return update.exec(txn).await.map(drop);
    }
    let reason = format!("{reason} (none of its {} objects was begun)", lot.open);
    let row = placements::ActiveModel {
        peer_left: Set(true),
        ..row(lot, root, Some((&reason, Side::Peer)))
    };
    placements::Entity::insert(row)
        .exec_without_returning(txn)
        .await
        .map(drop)
}

/// Fails all that is open of a preheat; the caller counts it.
pub(crate) async fn fail_open_placements(
    txn: &impl ConnectionTrait,
    preheat: &preheats::Model,
    reason: &str,
    side: Side,
) -> Result<(), DbErr> {
    if preheat.placements_open == 0 {
        return Ok(());
    }
    placements::Entity::update_many()
        .col_expr(placements::Column::State, Expr::value(FAILED))
        .col_expr(placements::Column::Reason, Expr::value(cut(reason)))
        .col_expr(placements::Column::Side, Expr::value(side.word()))
        .filter(placements::Column::PreheatId.eq(preheat.id))
        .filter(placements::Column::State.eq(OPEN))
        .exec(txn)
        .await?;
    let unexpanded = lots::Entity::find()
        .filter(lots::Column::PreheatId.eq(preheat.id))
        .filter(lots::Column::Expanded.eq(false))
        .filter(lots::Column::Open.gt(0))
        .all(txn)
        .await?;
    let root = preheat.digest.as_deref().unwrap_or_default();
    for lots in unexpanded.chunks(ROWS_AT_ONCE) {
        let rows = lots.iter().map(|lot| row(lot, root, Some((reason, side))));
        placements::Entity::insert_many(rows)
            .exec_without_returning(txn)
            .await?;
    }
    Ok(())
}

async fn insert_failed(
    txn: &impl ConnectionTrait,
    lot: &lots::Model,
    digest: &str,
    reason: &str,
    side: Side,
) -> Result<(), DbErr> {
    let row = row(lot, digest, Some((reason, side)));
    placements::Entity::insert(row)
        .exec_without_returning(txn)
        .await
        .map(drop)
}

/// Writes the placements of a lot that is not expanded. Its counts include them already.
pub(crate) async fn expand(txn: &impl ConnectionTrait, lot: &lots::Model) -> Result<(), DbErr> {
    let lacking = lacking(txn, lot.preheat_id, lot.cluster_id).await?;
    let digests: Vec<String> = objects::Entity::find()
        .select_only()
        .column(objects::Column::Digest)
        .filter(objects::Column::PreheatId.eq(lot.preheat_id))
        .order_by_asc(objects::Column::Class)
        .order_by_asc(objects::Column::Digest)
        .into_tuple()
        .all(txn)
        .await?;
    for digests in digests.chunks(ROWS_AT_ONCE) {
        let why = |digest: &String| lacking.get(digest).map(|why| (why.reason.as_str(), why.side));
        let rows = digests.iter().map(|digest| row(lot, digest, why(digest)));
        placements::Entity::insert_many(rows)
            .exec_without_returning(txn)
            .await?;
    }
    Ok(())
}

/// A placement, open or failed from the start.
pub(crate) fn row(lot: &lots::Model, digest: &str, failed: Option<(&str, Side)>) -> placements::ActiveModel {
    placements::ActiveModel {
        id: NotSet,
        preheat_id: Set(lot.preheat_id),
        cluster_id: Set(lot.cluster_id),
        peer_id: Set(lot.peer_id.clone()),
        work_id: Set(lot.work_id),
        digest: Set(digest.to_owned()),
        state: Set(if failed.is_some() { FAILED } else { OPEN }.to_owned()),
        bytes_from_registry: Set(0),
        bytes_from_peers: Set(0),
        reason: Set(failed.map(|(reason, _)| cut(reason))),
        side: Set(failed.map(|(_, side)| side.word().to_owned())),
        peer_left: Set(false),
    }
}
