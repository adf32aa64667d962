//! Looks once a second for expired leases, peers that left, preheats past their limit, and seeds for preheats that
//! wait for one. Every query uses an index.

use queue::{Urgency, enqueue, reclaim_expired};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, PaginatorTrait, QueryFilter,
    QueryOrder, QuerySelect,
};
use wire::Side;

use super::{absent, forget};
use crate::ending::end;
use crate::ending::end::run_out;
use crate::engine::preheater::Inner;
use crate::engine::step::Step;
use crate::engine::work::{MANAGER_LANE, PLAN, work_of_manager};
use crate::model::errors::StorageError;
use crate::model::limits::Limits;
use crate::model::scope::ClusterChoice;
use crate::model::state::PreheatState;
use crate::model::text::{NAMED_FAILURES, short};
use crate::peers::{seen, sessions};
use crate::plan::decide::{LiveCluster, wanted_clusters};
use crate::plan::live_clusters;
use crate::rows::find::{peer_name, worker_of};
use crate::rows::placements::OPEN;
use crate::rows::{peers, placements, preheats};

/// Preheats that one transaction ends or sends on.
const PREHEATS_AT_ONCE: u64 = 100;

/// One round.
pub(crate) async fn sweep(inner: &Inner) -> Result<(), StorageError> {
    let now = inner.now_ms();
    let ended = inner
        .write(Urgency::Background, move |txn| Box::pin(end_sessions(txn, now)))
        .await?;
    if !ended.is_empty() {
        for session in &ended {
            inner.sessions.forget(*session);
        }
        inner.surroundings_changed();
    }
    let limits = inner.limits.clone();
    inner
        .step(Urgency::Background, move |step| {
            Box::pin(async move {
                absent::sweep(step, &limits).await?;
                overdue(step).await?;
                without_seed(step, &limits).await?;
                seed_may_be_there(step).await
            })
        })
        .await?;
    seen::sweep(inner).await?;
    forget::sweep(inner).await
}

async fn end_sessions(txn: &DatabaseTransaction, now: i64) -> Result<Vec<uuid::Uuid>, DbErr> {
    let expired = reclaim_expired(txn, now).await?;
    sessions::ended(txn, &expired, now).await?;
    Ok(expired)
}

async fn overdue(step: &mut Step<'_>) -> Result<(), DbErr> {
    let overdue = preheats::Entity::find()
        .filter(preheats::Column::DeadlineMs.lte(step.now))
        .order_by_asc(preheats::Column::DeadlineMs)
        .limit(PREHEATS_AT_ONCE)
        .all(step.txn)
        .await?;
    for preheat in overdue {
        let worker = worker_of(step.txn, preheat.clone()).await?;
        let open = open_words(step.txn, &worker).await?;
        let limit = preheat.deadline_ms.unwrap_or(step.now) - preheat.begun_ms();
        let reason = format!("not done within {} s: {open}", limit / 1_000);
        let side = if worker.placements_open > 0 {
            Side::Peer
        } else {
            Side::Manager
        };
        run_out(step, preheat, &reason, side).await?;
    }
    Ok(())
}

/// Names the open placements of an unfinished preheat.
async fn open_words(txn: &impl ConnectionTrait, preheat: &preheats::Model) -> Result<String, DbErr> {
    let state = match preheat.state() {
        Ok(state) => state,
        Err(damaged) => return Ok(damaged.to_string()),
    };
    if state != PreheatState::Placing {
        let waits = preheat.reason.clone();
        return Ok(waits.unwrap_or_else(|| {
            "its turn to be resolved had not come; the manager is overloaded".to_owned()
        }));
    }
    let open = placements::Entity::find()
        .filter(placements::Column::PreheatId.eq(preheat.id))
        .filter(placements::Column::State.eq(OPEN))
        .order_by_asc(placements::Column::Id)
        .limit(NAMED_FAILURES as u64)
        .all(txn)
        .await?;
    let mut words = Vec::with_capacity(open.len());
    for row in open {
        words.push(format!(
            "{} on {}",
            short(&row.digest),
            peer_name(txn, &row.peer_id).await?
        ));
    }
    let (open, total) = (preheat.placements_open, preheat.placements_total);
    Ok(format!(
        "{open} of {total} placements are open: {}",
        words.join("; ")
    ))
}

async fn without_seed(step: &mut Step<'_>, limits: &Limits) -> Result<(), DbErr> {
    let waited = preheats::Entity::find()
        .filter(preheats::Column::NoSeedDeadlineMs.lte(step.now))
        .order_by_asc(preheats::Column::NoSeedDeadlineMs)
        .limit(PREHEATS_AT_ONCE)
        .all(step.txn)
        .await?;
    if waited.is_empty() {
        return Ok(());
    }
    let clusters = live_clusters::live_clusters(step.txn, false).await?;
    for preheat in waited {
        let (reason, side) = match preheat.clusters() {
            Ok(choice) => (no_seed_reason(&choice, &clusters, limits), Side::Peer),
            Err(damaged) => (damaged.to_string(), Side::Manager),
        };
        end::fail(step, preheat, &reason, side).await?;
    }
    Ok(())
}

fn no_seed_reason(choice: &ClusterChoice, clusters: &[LiveCluster], limits: &Limits) -> String {
    let lacking = wanted_clusters(choice, clusters)
        .err()
        .map_or_else(Vec::new, |lacking| lacking.clusters);
    let place = if lacking.is_empty() {
        "any cluster".to_owned()
    } else {
        format!("cluster {}", lacking.join(", "))
    };
    format!(
        "no seed peer of {place} registered within {} s; start one (`stoker token create --scope seed` says how) and check that it \
         reaches the manager",
        limits.no_seed_limit.as_secs()
    )
}

/// Plans preheats that wait for a seed again, if any seed is connected.
async fn seed_may_be_there(step: &mut Step<'_>) -> Result<(), DbErr> {
    let waiting = preheats::Entity::find()
        .filter(preheats::Column::SeedCheckMs.lte(step.now))
        .order_by_asc(preheats::Column::SeedCheckMs)
        .limit(PREHEATS_AT_ONCE)
        .all(step.txn)
        .await?;
    if waiting.is_empty() || !any_seed_is_live(step.txn).await? {
        return Ok(());
    }
    for preheat in waiting {
        enqueue(step.txn, &work_of_manager(PLAN, &preheat, step.now), step.now).await?;
        preheats::Entity::update_many()
            .col_expr(preheats::Column::SeedCheckMs, Expr::value(None::<i64>))
            .filter(preheats::Column::Id.eq(preheat.id))
            .exec(step.txn)
            .await?;
    }
    step.effects.lanes.push(MANAGER_LANE.to_owned());
    Ok(())
}

async fn any_seed_is_live(txn: &impl ConnectionTrait) -> Result<bool, DbErr> {
    let live = peers::Entity::find()
        .filter(peers::Column::Seed.eq(true))
        .filter(peers::Column::Session.is_not_null())
        .limit(1)
        .count(txn)
        .await?;
    Ok(live > 0)
}
