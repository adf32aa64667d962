//! What follows a commit: bells, and the one log line of each preheat that ended.

use wire::TraceContext;

use crate::ledger::{Effects, Ended};
use crate::neighbourhood;
use crate::preheater::Inner;
use crate::verdict::Verdict;

impl Inner {
    /// Call it after the commit: whoever wakes earlier would look in vain.
    pub(crate) fn follow(&self, effects: &Effects) {
        if effects.surroundings_changed {
            neighbourhood::changed(self);
        }
        for lane in &effects.lanes {
            self.bell.ring(lane);
        }
        for ended in &effects.ended {
            log(ended);
        }
    }
}

fn log(Ended { preheat, verdict }: &Ended) {
    let id = preheat.id;
    let trace = preheat.trace.as_deref().and_then(TraceContext::parse);
    let trace_id = trace.as_ref().map_or("", TraceContext::trace_id);
    let duration_ms = preheat.finished_ms.unwrap_or_default() - preheat.created_ms;
    let image = &preheat.image;
    match verdict {
        Verdict::Succeeded => tracing::info!(
            preheat.id = id,
            image.ref = image,
            trace_id,
            outcome = "succeeded",
            duration_ms,
            "preheat {id} of {image} succeeded"
        ),
        Verdict::Failed { reason, .. } => tracing::warn!(
            preheat.id = id,
            image.ref = image,
            trace_id,
            outcome = "failed",
            duration_ms,
            reason,
            "preheat {id} of {image} failed"
        ),
    }
}

/// A span that belongs to the preheat's own trace.
pub(crate) fn adopted(span: tracing::Span, trace: Option<&str>) -> tracing::Span {
    if let Some(trace) = trace.and_then(TraceContext::parse) {
        trace.adopt(&span);
    }
    span
}
