//! Holders and their leases. A holder is a manager process or a peer's session; one row leases all its claims.
//!
//! **Invariant:** a work item is running only while its holder's row exists. Removing the row returns the work items in
//! the same transaction. [`reclaim_expired`] finds leftovers (a claim that commits at the same time on a database
//! server).

use sea_orm::sea_query::{Expr, ExprTrait, LockBehavior, LockType, Query};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect,
};
use uuid::Uuid;

use crate::rows::{holders, work};

pub type HolderId = Uuid;

/// Holders per sweep, so that it does not block the writer for long; the next sweep takes the rest.
const HOLDERS_AT_ONCE: u64 = 200;

/// Registers a holder, which may then claim. [`grant_all`] selects by `kind`: "manager", "session".
pub async fn register_holder(
    txn: &impl ConnectionTrait,
    id: HolderId,
    kind: &str,
    until_ms: i64,
) -> Result<(), DbErr> {
    let row = holders::ActiveModel {
        id: Set(id.to_string()),
        kind: Set(kind.to_owned()),
        lease_until_ms: Set(until_ms),
    };
    holders::Entity::insert(row)
        .exec_without_returning(txn)
        .await
        .map(|_| ())
}

/// Renews the lease. Returns `false` if the holder and its claims were removed.
pub async fn renew(txn: &impl ConnectionTrait, id: HolderId, until_ms: i64) -> Result<bool, DbErr> {
    let renewed = holders::Entity::update_many()
        .col_expr(holders::Column::LeaseUntilMs, Expr::value(until_ms))
        .filter(holders::Column::Id.eq(id.to_string()))
        .exec(txn)
        .await?;
    Ok(renewed.rows_affected == 1)
}

/// Whether the holder is registered. Its lease may have expired; until it is reclaimed, it can be renewed.
pub async fn holder_exists(txn: &impl ConnectionTrait, id: HolderId) -> Result<bool, DbErr> {
    Ok(holders::Entity::find_by_id(id.to_string())
        .one(txn)
        .await?
        .is_some())
}

/// Removes the holder; its work items become claimable at once. Returns their number.
pub async fn end_holder(txn: &impl ConnectionTrait, id: HolderId) -> Result<u64, DbErr> {
    let id = id.to_string();
    holders::Entity::delete_by_id(id.clone()).exec(txn).await?;
    give_back(txn, Condition::all().add(work::Column::Holder.eq(id))).await
}

/// Extends the lease of every holder of this kind to at least this time. A starting manager calls it before it
/// reclaims anything, because nobody could renew while it was down.
pub async fn grant_all(txn: &impl ConnectionTrait, kind: &str, until_ms: i64) -> Result<u64, DbErr> {
    let granted = holders::Entity::update_many()
        .col_expr(holders::Column::LeaseUntilMs, Expr::value(until_ms))
        .filter(holders::Column::Kind.eq(kind))
        .filter(holders::Column::LeaseUntilMs.lt(until_ms))
        .exec(txn)
        .await?;
    Ok(granted.rows_affected)
}

/// Removes and returns holders with an expired lease. Their work items, and those of unknown holders, become claimable
/// at once.
pub async fn reclaim_expired(txn: &impl ConnectionTrait, now_ms: i64) -> Result<Vec<HolderId>, DbErr> {
    let expired = expired(txn, now_ms).await?;
    if !expired.is_empty() {
        holders::Entity::delete_many()
            .filter(holders::Column::Id.is_in(&expired))
            .exec(txn)
            .await?;
        give_back(txn, Condition::all().add(work::Column::Holder.is_in(&expired))).await?;
    }
    give_back(txn, holder_is_unknown()).await?;
    Ok(expired.iter().filter_map(|id| id.parse().ok()).collect())
}

/// Selects expired holders with a lock, so that no renewal comes between (SQLite has one writer and needs no lock).
async fn expired(txn: &impl ConnectionTrait, now_ms: i64) -> Result<Vec<String>, DbErr> {
    let rows = holders::Entity::find()
        .filter(holders::Column::LeaseUntilMs.lte(now_ms))
        .order_by_asc(holders::Column::LeaseUntilMs)
        .limit(HOLDERS_AT_ONCE)
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
        .all(txn)
        .await?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}

fn holder_is_unknown() -> Condition {
    let known = Query::select()
        .column(holders::Column::Id)
        .from(holders::Entity)
        .to_owned();
    Condition::all()
        .add(work::Column::Holder.is_not_null())
        .add(work::Column::Holder.not_in_subquery(known))
}

/// Returns work items to the queue. The fence is raised, so that the former holder cannot settle them.
async fn give_back(txn: &impl ConnectionTrait, of_whom: Condition) -> Result<u64, DbErr> {
    let given_back = work::Entity::update_many()
        .col_expr(work::Column::State, Expr::value(work::WAITING))
        .col_expr(work::Column::Holder, Expr::value(None::<String>))
        .col_expr(work::Column::Fence, Expr::col(work::Column::Fence).add(1))
        .filter(of_whom)
        .exec(txn)
        .await?;
    Ok(given_back.rows_affected)
}
