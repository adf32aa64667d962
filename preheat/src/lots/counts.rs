//! Counts closed placements in their lot and in their preheat.
//!
//! **Invariant:** `placements_open` of a preheat is the sum of its lots' `open`.

use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter};

use crate::model::closed::Closed;
use crate::rows::{lots, preheats};

pub(crate) async fn count_in_lot(txn: &impl ConnectionTrait, work: i64, closed: i64) -> Result<(), DbErr> {
    lots::Entity::update_many()
        .col_expr(lots::Column::Open, Expr::col(lots::Column::Open).sub(closed))
        .filter(lots::Column::WorkId.eq(work))
        .exec(txn)
        .await
        .map(drop)
}

pub(crate) async fn count_in_preheat(
    txn: &impl ConnectionTrait,
    preheat: i64,
    closed: Closed,
    now: i64,
) -> Result<(), DbErr> {
    use preheats::Column;
    preheats::Entity::update_many()
        .col_expr(
            Column::PlacementsOpen,
            Expr::col(Column::PlacementsOpen).sub(closed.count()),
        )
        .col_expr(
            Column::PlacementsVerified,
            Expr::col(Column::PlacementsVerified).add(closed.verified),
        )
        .col_expr(
            Column::PlacementsFailed,
            Expr::col(Column::PlacementsFailed).add(closed.all_failed()),
        )
        .col_expr(
            Column::PlacementsLeft,
            Expr::col(Column::PlacementsLeft).add(closed.left),
        )
        .col_expr(Column::BytesDone, Expr::col(Column::BytesDone).add(closed.bytes))
        .col_expr(Column::UpdatedMs, Expr::value(now))
        .filter(Column::Id.eq(preheat))
        .filter(Column::FinishedMs.is_null())
        .exec(txn)
        .await
        .map(drop)
}
