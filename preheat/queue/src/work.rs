//! Work items: enqueue, read, settle. All functions join the caller's transaction.
//!
//! **Invariant:** a settlement names the holder and fence of its claim. If the work item was meanwhile returned or
//! claimed by another holder, the settlement has no effect and returns `false`.

use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};

use crate::holder::HolderId;
use crate::passes::{LineKey, passes};
use crate::rows::work::{ActiveModel, Column, Entity, Model, PARKED, RUNNING, WAITING};

pub type WorkId = i64;

const LONGEST_ERROR: usize = 2000;

/// Rows in one statement: databases limit its parameters.
const ROWS_AT_ONCE: usize = 64;

/// A work item to enqueue.
#[derive(Clone, Debug, Default)]
pub struct NewWork {
    pub lane: String,
    pub kind: String,
    /// A small value that refers to records by id; never a secret.
    pub payload: serde_json::Value,
    /// The earliest time of a claim; [`crate::PARKED`] waits for [`crate::unpark`].
    pub run_at_ms: i64,
    /// Higher goes first.
    pub priority: i32,
    /// The caller's trace context.
    pub trace: Option<String>,
    /// Work items of a group can be removed together.
    pub group: Option<String>,
    /// Keys of a lane take turns, so that a caller with many items does not delay the others.
    pub fair_key: Option<String>,
}

impl NewWork {
    pub(crate) fn stand(&self) -> LineKey<'_> {
        LineKey {
            lane: &self.lane,
            priority: self.priority,
            fair_key: self.fair_key.as_deref().unwrap_or_default(),
        }
    }
}

/// A stored work item.
#[derive(Clone, Debug, PartialEq)]
pub struct Work {
    pub id: WorkId,
    pub lane: String,
    pub kind: String,
    pub payload: serde_json::Value,
    pub is_running: bool,
    pub holder: Option<HolderId>,
    pub fence: i64,
    /// Number of claims.
    pub attempt: i32,
    pub priority: i32,
    pub run_at_ms: i64,
    pub created_ms: i64,
    pub trace: Option<String>,
    pub group: Option<String>,
    pub last_error: Option<String>,
}

impl Work {
    pub(crate) fn read(row: Model) -> Result<Self, DbErr> {
        let payload = serde_json::from_str(&row.payload).map_err(|error| {
            DbErr::Type(format!(
                "the payload of work item {} is unreadable: {error}",
                row.id
            ))
        })?;
        Ok(Self {
            id: row.id,
            lane: row.lane,
            kind: row.kind,
            payload,
            is_running: row.state == RUNNING,
            holder: row.holder.and_then(|id| id.parse().ok()),
            fence: row.fence,
            attempt: row.attempt,
            priority: row.priority,
            run_at_ms: row.run_at_ms,
            created_ms: row.created_ms,
            trace: row.trace,
            group: row.work_group,
            last_error: row.last_error,
        })
    }
}

/// Enqueues a work item within the caller's transaction. Ring the lane's bell after the commit.
pub async fn enqueue(txn: &impl ConnectionTrait, work: &NewWork, now_ms: i64) -> Result<WorkId, DbErr> {
    let pass = passes_of(txn, std::slice::from_ref(work)).await?;
    let row = row(work, pass.first().copied().unwrap_or(PARKED), now_ms);
    Ok(Entity::insert(row).exec(txn).await?.last_insert_id)
}

/// Enqueues many work items with few statements.
pub async fn enqueue_all(txn: &impl ConnectionTrait, all: &[NewWork], now_ms: i64) -> Result<(), DbErr> {
    let passes = passes_of(txn, all).await?;
    let placed: Vec<(&NewWork, i64)> = std::iter::zip(all, passes).collect();
    for some in placed.chunks(ROWS_AT_ONCE) {
        let rows = some.iter().map(|(work, pass)| row(work, *pass, now_ms));
        Entity::insert_many(rows).exec_without_returning(txn).await?;
    }
    Ok(())
}

/// Returns the passes; a parked item is last until it is unparked.
async fn passes_of(txn: &impl ConnectionTrait, all: &[NewWork]) -> Result<Vec<i64>, DbErr> {
    let is_parked = |work: &NewWork| work.run_at_ms >= PARKED;
    let stands: Vec<LineKey<'_>> = all
        .iter()
        .filter(|work| !is_parked(work))
        .map(NewWork::stand)
        .collect();
    let mut placed = passes(txn, &stands).await?.into_iter();
    let pass = |work: &NewWork| if is_parked(work) { None } else { placed.next() };
    Ok(all.iter().map(pass).map(|pass| pass.unwrap_or(PARKED)).collect())
}

fn row(work: &NewWork, pass: i64, now_ms: i64) -> ActiveModel {
    ActiveModel {
        id: NotSet,
        lane: Set(work.lane.clone()),
        kind: Set(work.kind.clone()),
        payload: Set(work.payload.to_string()),
        state: Set(WAITING.to_owned()),
        holder: Set(None),
        fence: Set(0),
        attempt: Set(0),
        priority: Set(work.priority),
        run_at_ms: Set(work.run_at_ms),
        created_ms: Set(now_ms),
        trace: Set(work.trace.clone()),
        work_group: Set(work.group.clone()),
        last_error: Set(None),
        fair_key: Set(Some(work.stand().fair_key.to_owned())),
        pass: Set(pass),
    }
}

/// Completes the work item. Returns `false` if the claim no longer holds; the caller should then undo its changes.
pub async fn complete(
    txn: &impl ConnectionTrait,
    id: WorkId,
    fence: i64,
    holder: HolderId,
) -> Result<bool, DbErr> {
    let deleted = Entity::delete_many()
        .filter(ours(id, fence, holder))
        .exec(txn)
        .await?;
    Ok(deleted.rows_affected == 1)
}

/// Returns a failed work item to the queue, claimable from `run_at_ms` on.
pub async fn retry_later(
    txn: &impl ConnectionTrait,
    id: WorkId,
    fence: i64,
    holder: HolderId,
    run_at_ms: i64,
    error: &str,
) -> Result<bool, DbErr> {
    let error: String = error.chars().take(LONGEST_ERROR).collect();
    let given_back = Entity::update_many()
        .col_expr(Column::State, Expr::value(WAITING))
        .col_expr(Column::Holder, Expr::value(None::<String>))
        .col_expr(Column::RunAtMs, Expr::value(run_at_ms))
        .col_expr(Column::LastError, Expr::value(error))
        .filter(ours(id, fence, holder))
        .exec(txn)
        .await?;
    Ok(given_back.rows_affected == 1)
}

/// Returns a work item that was not attempted; the attempt does not count.
pub async fn release(
    txn: &impl ConnectionTrait,
    id: WorkId,
    fence: i64,
    holder: HolderId,
    run_at_ms: i64,
) -> Result<bool, DbErr> {
    let given_back = Entity::update_many()
        .col_expr(Column::State, Expr::value(WAITING))
        .col_expr(Column::Holder, Expr::value(None::<String>))
        .col_expr(Column::RunAtMs, Expr::value(run_at_ms))
        .col_expr(Column::Attempt, Expr::col(Column::Attempt).sub(1))
        .filter(ours(id, fence, holder))
        .exec(txn)
        .await?;
    Ok(given_back.rows_affected == 1)
}

/// Whether the claim still holds. The row is locked, so it holds until the caller's transaction ends.
pub async fn holds(
    txn: &impl ConnectionTrait,
    id: WorkId,
    fence: i64,
    holder: HolderId,
) -> Result<bool, DbErr> {
    // SQLite has no row locks and needs none: it has one writer at a time.
    let row = Entity::find()
        .filter(ours(id, fence, holder))
        .lock_exclusive()
        .one(txn)
        .await?;
    Ok(row.is_some())
}

pub async fn work_of(txn: &impl ConnectionTrait, id: WorkId) -> Result<Option<Work>, DbErr> {
    Entity::find_by_id(id).one(txn).await?.map(Work::read).transpose()
}

/// Returns all work items of a group, oldest first.
pub async fn work_of_group(txn: &impl ConnectionTrait, group: &str) -> Result<Vec<Work>, DbErr> {
    let rows = Entity::find()
        .filter(Column::WorkGroup.eq(group))
        .order_by_asc(Column::Id)
        .all(txn)
        .await?;
    rows.into_iter().map(Work::read).collect()
}

/// Returns all unsettled claims of a holder, oldest first.
pub async fn held_by(txn: &impl ConnectionTrait, holder: HolderId) -> Result<Vec<Work>, DbErr> {
    let rows = Entity::find()
        .filter(Column::Holder.eq(holder.to_string()))
        .filter(Column::State.eq(RUNNING))
        .order_by_asc(Column::Id)
        .all(txn)
        .await?;
    rows.into_iter().map(Work::read).collect()
}

fn ours(id: WorkId, fence: i64, holder: HolderId) -> Condition {
    Condition::all()
        .add(Column::Id.eq(id))
        .add(Column::Fence.eq(fence))
        .add(Column::State.eq(RUNNING))
        .add(Column::Holder.eq(holder.to_string()))
}
