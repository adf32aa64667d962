//! One span for each preheat that a call settles, in that preheat's own trace, with a link to the call.

use std::collections::BTreeMap;

use sea_orm::sea_query::Query;
use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter, QuerySelect};
use tracing::Span;
use tracing::field::Empty;
use wire::TraceContext;

use crate::engine::preheater::Inner;
use crate::engine::spans::adopted;
use crate::model::closed::ClosedByPreheat;
use crate::rows::{VALUES_AT_ONCE, lots, preheats};

/// Open while the outcomes are written; they end when this is dropped.
pub(super) struct Spans(BTreeMap<i64, Span>);

impl Spans {
    /// For the preheats of these lots.
    pub(super) async fn open(inner: &Inner, peer: &str, works: &[i64]) -> Result<Self, DbErr> {
        let call = TraceContext::current();
        let mut spans = BTreeMap::new();
        for works in works.chunks(VALUES_AT_ONCE) {
            for (preheat, trace) in traces_of(inner, works).await? {
                spans
                    .entry(preheat)
                    .or_insert_with(|| span(preheat, peer, trace.as_deref(), call.as_ref()));
            }
        }
        Ok(Self(spans))
    }

    pub(super) fn record(&self, settled: &ClosedByPreheat) {
        for (preheat, span) in &self.0 {
            let closed = settled.get(preheat).copied().unwrap_or_default();
            span.record("stoker.placements", closed.count());
            span.record("stoker.outcome", closed.outcome());
        }
    }

    /// Runs `then` within the span if there is exactly one, so that its log lines join the preheat's trace.
    pub(super) fn within<T>(&self, then: impl FnOnce() -> T) -> T {
        match self.0.first_key_value() {
            Some((_, span)) if self.0.len() == 1 => span.in_scope(then),
            _ => then(),
        }
    }
}

async fn traces_of(inner: &Inner, works: &[i64]) -> Result<Vec<(i64, Option<String>)>, DbErr> {
    let of_lots = Query::select()
        .column(lots::Column::PreheatId)
        .from(lots::Entity)
        .and_where(lots::Column::WorkId.is_in(works.iter().copied()))
        .to_owned();
    preheats::Entity::find()
        .select_only()
        .columns([preheats::Column::Id, preheats::Column::Trace])
        .filter(preheats::Column::Id.in_subquery(of_lots))
        .into_tuple()
        .all(inner.reads())
        .await
}

fn span(preheat: i64, peer: &str, trace: Option<&str>, call: Option<&TraceContext>) -> Span {
    let span = tracing::info_span!(
        "settle",
        stoker.preheat = preheat,
        stoker.peer = peer,
        stoker.placements = Empty,
        stoker.outcome = Empty,
    );
    let span = adopted(span, trace);
    if let Some(call) = call {
        call.link_to(&span);
    }
    span
}
