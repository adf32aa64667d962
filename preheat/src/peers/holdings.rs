//! Holdings as peers report them, stored in batches. All of a seed's holdings are stored; of a node's, only objects
//! of preheated images.

use std::collections::HashSet;

use queue::Urgency;
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect,
};
use uuid::Uuid;
use wire::{Holding, HoldingsReport, SeedAddress, holdings_hash, seeds_in_order};

use super::parents::{PARENTS, holders};
use super::{seeds, sessions};
use crate::engine::preheater::{Inner, Preheater};
use crate::model::errors::{SessionError, StorageError};
use crate::rows::{ROWS_AT_ONCE, VALUES_AT_ONCE, holdings, objects, stored_size};

/// A peer gained or lost objects.
pub async fn holdings(
    preheater: &Preheater,
    session: Uuid,
    report: HoldingsReport,
) -> Result<(), SessionError> {
    let inner = &preheater.inner;
    let peer = sessions::renewed(inner, session).await?;
    let mut report = report;
    report
        .gained
        .retain(|held| held.digest.parse::<oci::Digest>().is_ok());
    inner
        .write(Urgency::Background, move |txn| {
            Box::pin(async move { write_down(txn, &peer.id.to_string(), peer.seed, report).await })
        })
        .await?;
    Ok(())
}

async fn write_down(
    txn: &DatabaseTransaction,
    peer: &str,
    seed: bool,
    report: HoldingsReport,
) -> Result<(), DbErr> {
    let of_peer = || holdings::Entity::delete_many().filter(holdings::Column::PeerId.eq(peer));
    if report.starts_full_list {
        of_peer().exec(txn).await?;
    }
    for lost in report.lost.chunks(VALUES_AT_ONCE) {
        of_peer()
            .filter(holdings::Column::Digest.is_in(lost))
            .exec(txn)
            .await?;
    }
    for gained in report.gained.chunks(ROWS_AT_ONCE) {
        let known = if seed {
            None
        } else {
            Some(of_our_images(txn, gained).await?)
        };
        let is_kept = |held: &&Holding| known.as_ref().is_none_or(|known| known.contains(&held.digest));
        let rows: Vec<_> = gained
            .iter()
            .filter(is_kept)
            .map(|held| row(peer, held))
            .collect();
        if !rows.is_empty() {
            insert(txn, rows).await?;
        }
    }
    Ok(())
}

fn row(peer: &str, held: &Holding) -> holdings::ActiveModel {
    holdings::ActiveModel {
        peer_id: Set(peer.to_owned()),
        digest: Set(held.digest.clone()),
        size: Set(stored_size(held.size)),
    }
}

async fn insert(txn: &impl ConnectionTrait, rows: Vec<holdings::ActiveModel>) -> Result<(), DbErr> {
    let same = OnConflict::columns([holdings::Column::PeerId, holdings::Column::Digest])
        .update_column(holdings::Column::Size)
        .to_owned();
    holdings::Entity::insert_many(rows)
        .on_conflict(same)
        .exec_without_returning(txn)
        .await
        .map(drop)
}

async fn of_our_images(txn: &impl ConnectionTrait, gained: &[Holding]) -> Result<HashSet<String>, DbErr> {
    let known: Vec<String> = objects::Entity::find()
        .select_only()
        .column(objects::Column::Digest)
        .distinct()
        .filter(objects::Column::Digest.is_in(gained.iter().map(|held| &held.digest)))
        .into_tuple()
        .all(txn)
        .await?;
    Ok(known.into_iter().collect())
}

/// Returns the hash over the known holdings of this peer.
pub(crate) async fn hash_of(inner: &Inner, peer: Uuid) -> Result<String, StorageError> {
    let digests: Vec<String> = holdings::Entity::find()
        .select_only()
        .column(holdings::Column::Digest)
        .filter(holdings::Column::PeerId.eq(peer.to_string()))
        .order_by_asc(holdings::Column::Digest)
        .into_tuple()
        .all(inner.reads())
        .await?;
    Ok(holdings_hash(digests.iter().map(String::as_str)))
}

/// Live seeds of the peer's own cluster that hold this object whole, best first; never the peer itself.
pub async fn parents(
    preheater: &Preheater,
    session: Uuid,
    digest: &str,
) -> Result<Vec<SeedAddress>, SessionError> {
    let inner = &preheater.inner;
    let peer = sessions::live(inner, session).await?;
    let cluster = crate::peers::clusters::name_of(inner, peer.cluster_id).await?;
    let seeds = seeds::live_seeds(inner.reads(), peer.cluster_id).await?;
    let having = holders(inner.reads(), &seeds, &[digest.to_owned()], None).await?;
    let holding: Vec<SeedAddress> = seeds
        .into_iter()
        .filter(|seed| seed.peer != peer.id)
        .filter(|seed| {
            having
                .get(digest)
                .is_some_and(|holders| holders.contains(&seed.peer))
        })
        .collect();
    let ordered = seeds_in_order(&cluster, digest, &holding, |seed| seed.peer);
    Ok(ordered.into_iter().take(PARENTS).cloned().collect())
}
