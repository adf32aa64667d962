//! What an end changes: the row of the preheat, and the credential, work and lots that go with it.

use queue::remove_group;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QuerySelect};
use wire::Side;

use crate::engine::credentials;
use crate::engine::work::{group_of, parked_group_of};
use crate::model::verdict::Verdict;
use crate::rows::{lots, preheats};

/// What changes in the row of a preheat that is open.
pub(crate) fn ending(verdict: &Verdict, now: i64) -> sea_orm::UpdateMany<preheats::Entity> {
    use preheats::Column;
    let none = || Expr::value(None::<i64>);
    preheats::Entity::update_many()
        .col_expr(Column::State, Expr::value(verdict.state().word()))
        .col_expr(Column::Reason, Expr::value(verdict.reason()))
        .col_expr(Column::Side, Expr::value(verdict.side().map(Side::word)))
        .col_expr(Column::UpdatedMs, Expr::value(now))
        .col_expr(Column::FinishedMs, Expr::value(now))
        .col_expr(Column::Credential, Expr::value(None::<String>))
        .col_expr(Column::DeadlineMs, none())
        .col_expr(Column::NoSeedDeadlineMs, none())
        .col_expr(Column::SeedCheckMs, none())
        .filter(Column::FinishedMs.is_null())
}

/// Removes credential, work and lots of a preheat.
pub(crate) async fn clear_away(txn: &impl ConnectionTrait, preheat: i64) -> Result<(), DbErr> {
    credentials::forget(txn, preheat).await?;
    let of_preheat = lots::Column::PreheatId.eq(preheat);
    let clusters: Vec<i64> = lots::Entity::find()
        .select_only()
        .column(lots::Column::ClusterId)
        .distinct()
        .filter(of_preheat.clone())
        .filter(lots::Column::Stage.gt(0))
        .into_tuple()
        .all(txn)
        .await?;
    for cluster in clusters {
        remove_group(txn, &parked_group_of(preheat, cluster)).await?;
    }
    remove_group(txn, &group_of(preheat)).await?;
    lots::Entity::delete_many()
        .filter(of_preheat)
        .exec(txn)
        .await
        .map(drop)
}
