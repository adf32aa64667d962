//! Carries out effects after the commit: bells, metrics, and one log line for each preheat that ended.

use wire::TraceContext;

use super::effects::{Effects, Ended, MovedLot};
use super::preheater::Inner;
use crate::model::trace_pages::TracePages;
use crate::model::verdict::Verdict;

impl Inner {
    /// Call it after the commit only: a reader that wakes earlier sees the old rows.
    pub(crate) fn carry_out(&self, effects: &Effects) {
        if effects.surroundings_changed {
            self.surroundings_changed();
        }
        for lane in &effects.lanes {
            self.bell.ring(lane);
        }
        for closed in effects.closed.values() {
            self.metrics.closed(closed);
        }
        for MovedLot { preheat, peer } in &effects.moved {
            tracing::warn!(
                stoker.preheat = preheat,
                stoker.peer = peer,
                "lot of an absent peer moved to other seeds"
            );
        }
        for ended in &effects.ended {
            self.metrics.ended(ended);
            log(ended, &self.trace_pages);
        }
    }
}

fn log(Ended { preheat, verdict }: &Ended, pages: &TracePages) {
    let id = preheat.id;
    let trace = preheat.trace.as_deref().and_then(TraceContext::parse);
    let trace_id = trace.as_ref().map(TraceContext::trace_id);
    let trace_url = trace_id.and_then(|id| pages.url_of(id));
    let duration_ms = preheat.finished_ms.unwrap_or_default() - preheat.begun_ms();
    let image = &preheat.image;
    match verdict {
        Verdict::Succeeded => tracing::info!(
            stoker.preheat = id,
            stoker.image = image,
            stoker.outcome = "succeeded",
            trace_id,
            trace_url,
            duration_ms,
            "preheat {id} of {image} succeeded"
        ),
        Verdict::Failed { reason, side } => tracing::warn!(
            stoker.preheat = id,
            stoker.image = image,
            stoker.outcome = "failed",
            stoker.side = side.word(),
            trace_id,
            trace_url,
            duration_ms,
            reason,
            "preheat {id} of {image} failed"
        ),
        Verdict::Cancelled { by } => tracing::info!(
            stoker.preheat = id,
            stoker.image = image,
            stoker.outcome = "cancelled",
            trace_id,
            trace_url,
            duration_ms,
            stoker.by = by,
            "preheat {id} of {image} was cancelled"
        ),
    }
}
