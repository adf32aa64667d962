//! Deletes preheats that ended long ago, with their objects and placements, in small transactions.
//!
//! **Invariant:** a follower is deleted before its leader, whose rows it shows.

use queue::Urgency;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, PaginatorTrait, QueryFilter,
    QueryOrder, QuerySelect, Select,
};

use crate::engine::preheater::Inner;
use crate::model::errors::StorageError;
use crate::model::limits::milliseconds;
use crate::rows::{VALUES_AT_ONCE, labels, objects, placements, preheats};

/// The most preheats, and placements of them, that one round deletes.
const PREHEATS_AT_ONCE: u64 = 20;
const PLACEMENTS_AT_ONCE: u64 = 2_000;

/// One round. Looks first, so that having nothing to forget costs no write.
pub(crate) async fn sweep(inner: &Inner) -> Result<(), StorageError> {
    let Some(keep) = inner.limits.keep_ended else {
        return Ok(());
    };
    let before = inner.now_ms() - milliseconds(keep);
    if ended(before).limit(1).count(inner.reads()).await? == 0 {
        return Ok(());
    }
    let forgotten = inner
        .write(Urgency::Background, move |txn| Box::pin(forget(txn, before)))
        .await?;
    tracing::debug!(preheats = forgotten, "old preheats deleted");
    Ok(())
}

fn ended(before: i64) -> Select<preheats::Entity> {
    preheats::Entity::find().filter(preheats::Column::FinishedMs.lte(before))
}

async fn forget(txn: &DatabaseTransaction, before: i64) -> Result<usize, DbErr> {
    // Followers end with their leader and are younger.
    let old: Vec<i64> = ended(before)
        .select_only()
        .column(preheats::Column::Id)
        .order_by_asc(preheats::Column::FinishedMs)
        .order_by_desc(preheats::Column::Id)
        .limit(PREHEATS_AT_ONCE)
        .into_tuple()
        .all(txn)
        .await?;
    let (mut room, mut forgotten) = (PLACEMENTS_AT_ONCE, 0);
    for id in old {
        if has_followers(txn, id).await? {
            continue;
        }
        room = room.saturating_sub(drop_placements(txn, id, room).await?);
        if room == 0 {
            break;
        }
        objects::Entity::delete_many()
            .filter(objects::Column::PreheatId.eq(id))
            .exec(txn)
            .await?;
        labels::Entity::delete_many()
            .filter(labels::Column::PreheatId.eq(id))
            .exec(txn)
            .await?;
        preheats::Entity::delete_by_id(id).exec(txn).await?;
        forgotten += 1;
    }
    Ok(forgotten)
}

async fn has_followers(txn: &impl ConnectionTrait, id: i64) -> Result<bool, DbErr> {
    let followers = preheats::Entity::find().filter(preheats::Column::Follows.eq(id));
    Ok(followers.limit(1).count(txn).await? > 0)
}

/// Returns how many placements it deleted: at most `room`.
async fn drop_placements(txn: &impl ConnectionTrait, preheat: i64, room: u64) -> Result<u64, DbErr> {
    let ids: Vec<i64> = placements::Entity::find()
        .select_only()
        .column(placements::Column::Id)
        .filter(placements::Column::PreheatId.eq(preheat))
        .limit(room)
        .into_tuple()
        .all(txn)
        .await?;
    for some in ids.chunks(VALUES_AT_ONCE) {
        placements::Entity::delete_many()
            .filter(placements::Column::Id.is_in(some.iter().copied()))
            .exec(txn)
            .await?;
    }
    Ok(ids.len() as u64)
}
