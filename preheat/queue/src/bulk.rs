//! Bulk operations on work items: unpark, move to another lane, remove a group, count.

use sea_orm::sea_query::{CaseStatement, Expr, SimpleExpr};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};

use crate::passes::{LineKey, passes};
use crate::rows::work::{Column, Entity, Model, PARKED, WAITING};
use crate::work::WorkId;

/// Databases limit the number of values in one statement.
const VALUES_AT_ONCE: usize = 500;
const CASES_AT_ONCE: usize = 200;

/// Selects work items of a group; without conditions, all of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct WorkFilter<'a> {
    pub kind: Option<&'a str>,
    pub lanes: Option<&'a [String]>,
}

/// Makes parked work items claimable. Returns the lanes whose bell to ring after the commit.
pub async fn unpark(
    txn: &impl ConnectionTrait,
    group: &str,
    which: WorkFilter<'_>,
    now_ms: i64,
) -> Result<Vec<String>, DbErr> {
    let mut parked = Condition::all()
        .add(Column::WorkGroup.eq(group))
        .add(Column::State.eq(WAITING))
        .add(Column::RunAtMs.gte(PARKED));
    if let Some(kind) = which.kind {
        parked = parked.add(Column::Kind.eq(kind));
    }
    let Some(lanes) = which.lanes else {
        return unpark_where(txn, &parked, now_ms).await;
    };
    let mut let_go = Vec::new();
    for lanes in lanes.chunks(VALUES_AT_ONCE) {
        let here = parked.clone().add(Column::Lane.is_in(lanes));
        let_go.extend(unpark_where(txn, &here, now_ms).await?);
    }
    Ok(let_go)
}

async fn unpark_where(
    txn: &impl ConnectionTrait,
    parked: &Condition,
    now_ms: i64,
) -> Result<Vec<String>, DbErr> {
    let found = Entity::find()
        .filter(parked.clone())
        .order_by_asc(Column::Id)
        .all(txn)
        .await?;
    let stands: Vec<LineKey<'_>> = found.iter().map(stand_of).collect();
    let passes = passes(txn, &stands).await?;
    let placed: Vec<(WorkId, i64)> = std::iter::zip(&found, passes)
        .map(|(row, pass)| (row.id, pass))
        .collect();
    for some in placed.chunks(CASES_AT_ONCE) {
        let ids = some.iter().map(|(id, _)| *id);
        Entity::update_many()
            .col_expr(Column::RunAtMs, Expr::value(now_ms))
            .col_expr(Column::Pass, pass_by_id(some))
            .filter(Column::Id.is_in(ids))
            .filter(parked.clone())
            .exec(txn)
            .await?;
    }
    let mut lanes: Vec<String> = found.into_iter().map(|row| row.lane).collect();
    lanes.sort_unstable();
    lanes.dedup();
    Ok(lanes)
}

fn stand_of(row: &Model) -> LineKey<'_> {
    LineKey {
        lane: &row.lane,
        priority: row.priority,
        fair_key: row.fair_key.as_deref().unwrap_or_default(),
    }
}

fn pass_by_id(placed: &[(WorkId, i64)]) -> SimpleExpr {
    let by_id =
        |case: CaseStatement, (id, pass): &(WorkId, i64)| case.case(Column::Id.eq(*id), Expr::value(*pass));
    placed
        .iter()
        .fold(CaseStatement::new(), by_id)
        .finally(Expr::col(Column::Pass))
        .into()
}

/// Moves a waiting work item to another lane. Returns `false` if it is claimed or deleted.
pub async fn move_lane(txn: &impl ConnectionTrait, id: WorkId, lane: &str) -> Result<bool, DbErr> {
    let moved = Entity::update_many()
        .col_expr(Column::Lane, Expr::value(lane))
        .filter(Column::Id.eq(id))
        .filter(Column::State.eq(WAITING))
        .exec(txn)
        .await?;
    Ok(moved.rows_affected == 1)
}

/// Removes all work items of a group and returns their number. The settlement of a running one will have no effect.
pub async fn remove_group(txn: &impl ConnectionTrait, group: &str) -> Result<u64, DbErr> {
    let removed = Entity::delete_many()
        .filter(Column::WorkGroup.eq(group))
        .exec(txn)
        .await?;
    Ok(removed.rows_affected)
}

/// Returns the number of waiting work items of each non-empty lane, parked ones included.
pub async fn waiting_by_lane(txn: &impl ConnectionTrait) -> Result<Vec<(String, i64)>, DbErr> {
    Entity::find()
        .select_only()
        .column(Column::Lane)
        .column_as(Column::Id.count(), "waiting")
        .filter(Column::State.eq(WAITING))
        .group_by(Column::Lane)
        .into_tuple()
        .all(txn)
        .await
}
