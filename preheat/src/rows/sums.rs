//! Sums that are whole numbers on every backend.

use sea_orm::sea_query::{Expr, ExprTrait, SimpleExpr};
use sea_orm::{ColumnTrait, DbBackend, IntoSimpleExpr};

/// `PostgreSQL` and `MariaDB` add integers up to a decimal, which is cast back; each has its own word for it.
pub(crate) fn whole_sum(backend: DbBackend, column: impl ColumnTrait) -> SimpleExpr {
    let whole = if backend == DbBackend::MySql {
        "signed"
    } else {
        "bigint"
    };
    Expr::expr(column.into_simple_expr()).sum().cast_as(whole)
}
