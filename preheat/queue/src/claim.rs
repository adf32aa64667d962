//! Claims work items for a holder: selects candidates in order, then one compare-and-swap that works on all databases.
//!
//! **Invariant:** no work item has two holders. The swap takes only rows that still wait. On a database server the
//! candidates are also locked, and rows locked by another claim are skipped.

use sea_orm::sea_query::{Expr, ExprTrait, LockBehavior, LockType};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select,
};

use crate::database::Database;
use crate::entry::WriteError;
use crate::holder::HolderId;
use crate::rows::{holders, work};
use crate::work::{Work, WorkId};
use crate::writer::Urgency;

/// The limit of one claim.
const MOST_AT_ONCE: usize = 256;

/// Why a claim failed.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    #[error("the lease has ended: register the holder again")]
    HolderEnded,
    #[error("the database did not answer: {0}")]
    Database(#[from] DbErr),
}

/// A claimed work item with its fence.
#[derive(Clone, Debug, PartialEq)]
pub struct Claimed {
    pub id: WorkId,
    pub fence: i64,
    pub holder: HolderId,
    pub lane: String,
    pub kind: String,
    pub payload: serde_json::Value,
    /// 1 for the first attempt.
    pub attempt: i32,
    pub created_ms: i64,
    pub trace: Option<String>,
    pub group: Option<String>,
    /// The error of the previous attempt.
    pub last_error: Option<String>,
}

/// Claims up to `at_most` due work items of a lane. Reads first, so that an idle lane costs no write.
pub async fn claim(
    db: &Database,
    lane: &str,
    holder: HolderId,
    at_most: usize,
    now_ms: i64,
) -> Result<Vec<Claimed>, WriteError<ClaimError>> {
    let anything = due(lane, 1, now_ms).into_tuple::<WorkId>().one(db.reads()).await;
    if anything
        .map_err(|error| WriteError::Refused(error.into()))?
        .is_none()
    {
        return Ok(Vec::new());
    }
    let lane = lane.to_owned();
    db.write(Urgency::Background, move |txn| {
        Box::pin(async move { claim_within(txn, &lane, holder, at_most, now_ms).await })
    })
    .await
}

/// Claims within the caller's transaction.
pub async fn claim_within(
    txn: &impl ConnectionTrait,
    lane: &str,
    holder: HolderId,
    at_most: usize,
    now_ms: i64,
) -> Result<Vec<Claimed>, ClaimError> {
    if !lease_is_live(txn, holder, now_ms).await? {
        return Err(ClaimError::HolderEnded);
    }
    let candidates = candidates(txn, lane, at_most, now_ms).await?;
    if candidates.is_empty() {
        return Ok(Vec::new());
    }
    swap(txn, &candidates, holder).await?;
    Ok(claimed(txn, &candidates, holder).await?)
}

async fn lease_is_live(txn: &impl ConnectionTrait, holder: HolderId, now_ms: i64) -> Result<bool, DbErr> {
    let row = holders::Entity::find_by_id(holder.to_string())
        .filter(holders::Column::LeaseUntilMs.gt(now_ms))
        .one(txn)
        .await?;
    Ok(row.is_some())
}

async fn candidates(
    txn: &impl ConnectionTrait,
    lane: &str,
    at_most: usize,
    now_ms: i64,
) -> Result<Vec<WorkId>, DbErr> {
    due(lane, at_most, now_ms)
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
        .into_tuple()
        .all(txn)
        .await
}

fn due(lane: &str, at_most: usize, now_ms: i64) -> Select<work::Entity> {
    work::Entity::find()
        .select_only()
        .column(work::Column::Id)
        .filter(work::Column::Lane.eq(lane))
        .filter(work::Column::State.eq(work::WAITING))
        .filter(work::Column::RunAtMs.lte(now_ms))
        .order_by_desc(work::Column::Priority)
        .order_by_asc(work::Column::Pass)
        .order_by_asc(work::Column::Id)
        .limit(at_most.min(MOST_AT_ONCE) as u64)
}

async fn swap(txn: &impl ConnectionTrait, candidates: &[WorkId], holder: HolderId) -> Result<(), DbErr> {
    work::Entity::update_many()
        .col_expr(work::Column::State, Expr::value(work::RUNNING))
        .col_expr(work::Column::Holder, Expr::value(holder.to_string()))
        .col_expr(work::Column::Fence, Expr::col(work::Column::Fence).add(1))
        .col_expr(work::Column::Attempt, Expr::col(work::Column::Attempt).add(1))
        .filter(work::Column::Id.is_in(candidates.iter().copied()))
        .filter(work::Column::State.eq(work::WAITING))
        .exec(txn)
        .await
        .map(|_| ())
}

/// Returns the candidates that the swap gave to this holder: they were waiting before, and have its id now.
async fn claimed(
    txn: &impl ConnectionTrait,
    candidates: &[WorkId],
    holder: HolderId,
) -> Result<Vec<Claimed>, DbErr> {
    let ours = Condition::all()
        .add(work::Column::Id.is_in(candidates.iter().copied()))
        .add(work::Column::State.eq(work::RUNNING))
        .add(work::Column::Holder.eq(holder.to_string()));
    let mut rows = work::Entity::find().filter(ours).all(txn).await?;
    rows.sort_by_key(|row| candidates.iter().position(|&id| id == row.id));
    rows.into_iter()
        .map(|row| Work::read(row).map(|work| given_to(holder, work)))
        .collect()
}

fn given_to(holder: HolderId, work: Work) -> Claimed {
    Claimed {
        id: work.id,
        fence: work.fence,
        holder,
        lane: work.lane,
        kind: work.kind,
        payload: work.payload,
        attempt: work.attempt,
        created_ms: work.created_ms,
        trace: work.trace,
        group: work.group,
        last_error: work.last_error,
    }
}
