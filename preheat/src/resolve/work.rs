//! Performs the work of the manager's lane: resolve, plan.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use queue::{Claimed, Failure, Perform, Urgency, complete};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, PaginatorTrait, QueryFilter};
use tracing::field::Empty;
use tracing::{Instrument, Span};
use wire::{Side, TraceContext};

use super::ask::{Resolution, ask};
use super::write;
use crate::ending::end;
use crate::engine::effects::Planning;
use crate::engine::preheater::Inner;
use crate::engine::spans::adopted;
use crate::engine::work::{PLAN, RESOLVE};
use crate::image::trouble::Trouble;
use crate::image_rules;
use crate::model::errors::StorageError;
use crate::model::state::PreheatState;
use crate::model::text::cut;
use crate::rows::preheats;

/// The pause before a registry is asked again that refused by count.
const BY_COUNT: Duration = Duration::from_secs(5);

/// Performs the work of the manager's lane.
pub(crate) struct ManagerWork(pub(crate) Arc<Inner>);

#[async_trait]
impl Perform for ManagerWork {
    async fn perform(&self, claimed: &Claimed) -> Result<(), Failure> {
        let inner = &self.0;
        let Some(preheat) = open_preheat(inner, claimed).await? else {
            return Ok(());
        };
        match claimed.kind.as_str() {
            RESOLVE => resolve(inner, claimed, preheat).await,
            PLAN => write(inner, claimed, &preheat, None).await,
            other => Err(Failure::GiveUp(format!("nobody knows how to do {other:?}"))),
        }
    }

    async fn gave_up(&self, claimed: &Claimed, reason: &str) -> Result<(), Failure> {
        fail(&self.0, claimed, reason.to_owned(), Side::Manager).await
    }
}

fn preheat_of(claimed: &Claimed) -> i64 {
    claimed
        .payload
        .get("preheat")
        .and_then(serde_json::Value::as_i64)
        .unwrap_or_default()
}

async fn open_preheat(inner: &Inner, claimed: &Claimed) -> Result<Option<preheats::Model>, Failure> {
    let row = preheats::Entity::find_by_id(preheat_of(claimed))
        .one(inner.reads())
        .await
        .map_err(again)?;
    Ok(row.filter(|row| row.finished_ms.is_none()))
}

fn again(error: impl std::fmt::Display) -> Failure {
    Failure::Retry(error.to_string())
}

async fn resolve(inner: &Inner, claimed: &Claimed, preheat: preheats::Model) -> Result<(), Failure> {
    let span = tracing::info_span!(
        "resolve",
        stoker.preheat = preheat.id,
        stoker.image = preheat.image,
        stoker.attempt = claimed.attempt,
        error.type = Empty,
        otel.status_code = Empty,
    );
    let span = adopted(span, preheat.trace.as_deref());
    async {
        match unless_blocked(inner, ask(inner, &preheat, claimed.attempt).await).await {
            Ok(answer) => write(inner, claimed, &preheat, Some(answer)).await,
            Err(trouble) => {
                failed_with(&Span::current(), trouble.kind);
                after(inner, claimed, &preheat, trouble).await
            }
        }
    }
    .instrument(span)
    .await
}

/// The digest of the reference is blocked, by any name.
async fn unless_blocked(inner: &Inner, asked: Result<Resolution, Trouble>) -> Result<Resolution, Trouble> {
    let answer = asked?;
    match image_rules::blocked_digest(inner, answer.digest()).await? {
        None => Ok(answer),
        Some(blocked) => Err(Trouble {
            kind: "blocked",
            ..Trouble::of_caller(format!("{blocked}; `stoker image unblock` lifts that"))
        }),
    }
}

/// Marks a span as failed, with one of few words.
fn failed_with(span: &Span, error_type: &'static str) {
    span.record("error.type", error_type);
    span.record("otel.status_code", "ERROR");
}

/// Tries again where that may help; else the preheat fails with the registry's words.
async fn after(
    inner: &Inner,
    claimed: &Claimed,
    preheat: &preheats::Model,
    trouble: Trouble,
) -> Result<(), Failure> {
    let attempt = u32::try_from(claimed.attempt).unwrap_or(u32::MAX);
    if waits_for_ours(inner, preheat, &trouble).await.map_err(again)? {
        let written = write_reason(inner, preheat.id, trouble.text).await;
        written.map_err(again)?;
        return Err(Failure::Later(BY_COUNT));
    }
    if !trouble.retry || attempt >= inner.limits.resolve_attempts {
        return fail(inner, claimed, trouble.text, trouble.side).await;
    }
    let told = format!(
        "{} (attempt {attempt} of {})",
        trouble.text, inner.limits.resolve_attempts
    );
    write_reason(inner, preheat.id, told).await.map_err(again)?;
    Err(Failure::RetryAfter(
        trouble.text,
        trouble.retry_after.unwrap_or(Duration::ZERO),
    ))
}

/// Whether the registry refused by count while our own peers read from it: then the preheat's limit ends the wait.
async fn waits_for_ours(inner: &Inner, preheat: &preheats::Model, trouble: &Trouble) -> Result<bool, DbErr> {
    if !trouble.is_by_count() {
        return Ok(false);
    }
    let placing = preheats::Entity::find()
        .filter(preheats::Column::Registry.eq(&preheat.registry))
        .filter(preheats::Column::State.eq(PreheatState::Placing.word()))
        .filter(preheats::Column::FinishedMs.is_null())
        .count(inner.reads());
    Ok(placing.await? > 0)
}

/// Stores what an open preheat waits for.
async fn write_reason(inner: &Inner, preheat: i64, reason: String) -> Result<(), StorageError> {
    let update = preheats::Entity::update_many()
        .col_expr(
            preheats::Column::State,
            Expr::value(PreheatState::Resolving.word()),
        )
        .col_expr(preheats::Column::Reason, Expr::value(cut(&reason)))
        .col_expr(preheats::Column::UpdatedMs, Expr::value(inner.now_ms()))
        .filter(preheats::Column::Id.eq(preheat))
        .filter(preheats::Column::FinishedMs.is_null());
    inner
        .write(Urgency::Background, move |txn| {
            Box::pin(async move { update.exec(txn).await.map(drop) })
        })
        .await
}

async fn fail(inner: &Inner, claimed: &Claimed, reason: String, side: Side) -> Result<(), Failure> {
    let claim = claimed.clone();
    inner
        .step(Urgency::Background, move |step| {
            Box::pin(async move {
                match still_ours(step.txn, &claim).await? {
                    Some(preheat) => end::fail(step, preheat, &reason, side).await,
                    None => Ok(()),
                }
            })
        })
        .await
        .map_err(again)
}

/// Ends the work and gives the preheat, if both are still to be had.
async fn still_ours(txn: &DatabaseTransaction, claimed: &Claimed) -> Result<Option<preheats::Model>, DbErr> {
    if !complete(txn, claimed.id, claimed.fence, claimed.holder).await? {
        return Ok(None);
    }
    let row = preheats::Entity::find_by_id(preheat_of(claimed)).one(txn).await?;
    Ok(row.filter(|row| row.finished_ms.is_none()))
}

/// Stores new findings, and the plan.
async fn write(
    inner: &Inner,
    claimed: &Claimed,
    preheat: &preheats::Model,
    answer: Option<Resolution>,
) -> Result<(), Failure> {
    let span = tracing::info_span!(
        "plan",
        stoker.preheat = preheat.id,
        stoker.objects = Empty,
        stoker.placements = Empty,
        stoker.peers = Empty,
        error.type = Empty,
    );
    let span = if answer.is_some() {
        span
    } else {
        adopted(span, preheat.trace.as_deref())
    };
    let trace = TraceContext::of(&span)
        .map(|trace| trace.as_str().to_owned())
        .or_else(|| preheat.trace.clone());
    let (claim, limits) = (claimed.clone(), inner.limits.clone());
    let settings = Arc::clone(&inner.cluster_settings);
    let written = inner.begin_step(Urgency::Background, move |step| {
        Box::pin(async move {
            let Some(preheat) = still_ours(step.txn, &claim).await? else {
                return Ok(());
            };
            write::step(step, preheat, answer, trace, (&limits, settings.as_ref())).await
        })
    });
    let ((), effects) = written.instrument(span.clone()).await.map_err(again)?;
    image_rules::planned(inner);
    record_plan(&span, &effects.planning);
    span.in_scope(|| inner.carry_out(&effects));
    Ok(())
}

fn record_plan(span: &Span, planning: &Planning) {
    match planning {
        Planning::NotTried => {}
        Planning::NoSeed => drop(span.record("error.type", "no_seed")),
        Planning::Done(planned) => {
            // The exporter writes unsigned numbers as text.
            let signed = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
            span.record("stoker.objects", signed(planned.objects));
            span.record("stoker.placements", planned.placements);
            span.record("stoker.peers", signed(planned.peers));
        }
    }
}
