//! Holders and their leases. A holder is a manager process or a peer's session; one row keeps all that it claimed.
//!
//! **Invariant:** work is running only while its holder's row exists. Whoever removes the row gives the work back in
//! the same transaction; what slips through (a claim that commits beside it on a database server) is found by
//! [`reclaim_expired`].

use sea_orm::sea_query::{Expr, ExprTrait, LockBehavior, LockType, Query};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect,
};
use uuid::Uuid;

use crate::rows::{holders, work};

pub type HolderId = Uuid;

/// A sweep takes this many at once, so that it never keeps the writer for long; the next one takes the rest.
const HOLDERS_AT_ONCE: u64 = 200;

/// Makes the holder known; it may claim from now on. `kind` says whom [`grant_all`] means: "manager", "session".
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

/// Prolongs the lease. `false`: the holder is gone, and with it all it had claimed.
pub async fn renew(txn: &impl ConnectionTrait, id: HolderId, until_ms: i64) -> Result<bool, DbErr> {
    let renewed = holders::Entity::update_many()
        .col_expr(holders::Column::LeaseUntilMs, Expr::value(until_ms))
        .filter(holders::Column::Id.eq(id.to_string()))
        .exec(txn)
        .await?;
    Ok(renewed.rows_affected == 1)
}

/// Whether the holder is known. Its lease may have run out: until somebody reclaims it, a renewal saves it.
pub async fn holder_exists(txn: &impl ConnectionTrait, id: HolderId) -> Result<bool, DbErr> {
    Ok(holders::Entity::find_by_id(id.to_string())
        .one(txn)
        .await?
        .is_some())
}

/// Removes the holder; its work may be claimed again at once. Returns how much that was.
pub async fn end_holder(txn: &impl ConnectionTrait, id: HolderId) -> Result<u64, DbErr> {
    let id = id.to_string();
    holders::Entity::delete_by_id(id.clone()).exec(txn).await?;
    give_back(txn, Condition::all().add(work::Column::Holder.eq(id))).await
}

/// Gives every holder of this kind at least this much time. A manager that starts does so before it reclaims
/// anything: nobody could renew while it was away.
pub async fn grant_all(txn: &impl ConnectionTrait, kind: &str, until_ms: i64) -> Result<u64, DbErr> {
    let granted = holders::Entity::update_many()
        .col_expr(holders::Column::LeaseUntilMs, Expr::value(until_ms))
        .filter(holders::Column::Kind.eq(kind))
        .filter(holders::Column::LeaseUntilMs.lt(until_ms))
        .exec(txn)
        .await?;
    Ok(granted.rows_affected)
}

/// Removes holders whose lease ran out and returns them; their work, and work whose holder is unknown, may be claimed
/// again at once.
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

/// Locked, so that no renewal comes between looking and removing (SQLite, with one writer, needs no lock).
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

/// The fence moves on, so that whoever had the work can no longer settle it.
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
