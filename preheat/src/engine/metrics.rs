//! Metrics of preheats. Each is counted after the commit, so a rollback is never counted.
//!
//! **Invariant:** every value of every label is known in advance and starts at 0.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use strum::VariantArray;
use wire::{Side, TraceContext};

use super::effects::Ended;
use crate::model::closed::Closed;
use crate::model::limits::seconds;
use crate::model::request::Requester;
use crate::model::spot_check::SpotCheckVerdict;
use crate::model::verdict::Verdict;

/// Seconds: a small image on the LAN, up to the limit of a preheat and beyond.
const BUCKETS: [f64; 13] = [
    0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 1800.0,
];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequesterLabel {
    asked_by: &'static str,
}

/// How something ended; `side` is `none` for a success.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndingLabels {
    outcome: &'static str,
    side: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SourceLabel {
    source: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TraceLabel {
    trace_id: String,
}

type Durations = HistogramWithExemplars<TraceLabel>;

#[derive(Debug)]
pub(crate) struct PreheatMetrics {
    submitted: Family<RequesterLabel, Counter>,
    ended: Family<EndingLabels, Counter>,
    duration: Family<OutcomeLabel, Durations, fn() -> Durations>,
    placements_ended: Family<EndingLabels, Counter>,
    placed_bytes: Family<SourceLabel, Counter>,
    webhook_calls: Family<OutcomeLabel, Counter>,
    spot_checks: Family<OutcomeLabel, Counter>,
}

impl Default for PreheatMetrics {
    fn default() -> Self {
        let metrics = Self {
            submitted: Family::default(),
            ended: Family::default(),
            duration: Family::new_with_constructor(|| Durations::new(BUCKETS.into_iter())),
            placements_ended: Family::default(),
            placed_bytes: Family::default(),
            webhook_calls: Family::default(),
            spot_checks: Family::default(),
        };
        metrics.start_at_zero();
        metrics
    }
}

impl PreheatMetrics {
    fn start_at_zero(&self) {
        for requester in Requester::ALL {
            drop(self.submitted.get_or_create(&asked_by(requester)));
        }
        for (family, good) in [(&self.ended, "succeeded"), (&self.placements_ended, "verified")] {
            let ways = Side::ALL.map(|side| ending("failed", Some(side)));
            for ending in ways.into_iter().chain([ending(good, None)]) {
                drop(family.get_or_create(&ending));
            }
        }
        drop(self.ended.get_or_create(&ending("cancelled", None)));
        for outcome in ["succeeded", "failed", "cancelled"] {
            drop(self.duration.get_or_create(&OutcomeLabel { outcome }));
        }
        for outcome in ["taken", "failed"] {
            drop(self.webhook_calls.get_or_create(&OutcomeLabel { outcome }));
        }
        for outcome in SpotCheckVerdict::VARIANTS.iter().map(|outcome| outcome.word()) {
            drop(self.spot_checks.get_or_create(&OutcomeLabel { outcome }));
        }
        for source in ["registry", "peer"] {
            drop(self.placed_bytes.get_or_create(&SourceLabel { source }));
        }
    }

    pub(crate) fn register(&self, registry: &mut Registry) {
        let (submitted, ended) = (self.submitted.clone(), self.ended.clone());
        registry.register(
            "stoker_preheats_submitted",
            "Preheats that were requested",
            submitted,
        );
        registry.register("stoker_preheats_ended", "Preheats that have ended", ended);
        registry.register(
            "stoker_preheat_duration_seconds",
            "Time from the request of a preheat, or of its retry, to its end",
            self.duration.clone(),
        );
        registry.register(
            "stoker_placements_ended",
            "Placements that have ended: one object that one peer had to hold for one preheat",
            self.placements_ended.clone(),
        );
        registry.register(
            "stoker_placed_bytes",
            "Bytes of verified placements, by where peers got them",
            self.placed_bytes.clone(),
        );
        registry.register(
            "stoker_webhook_calls",
            "Calls to the receivers of notices",
            self.webhook_calls.clone(),
        );
        registry.register(
            "stoker_spot_checks",
            "Comparisons of a seed's bytes with another holder's",
            self.spot_checks.clone(),
        );
    }

    /// Counts a call to a webhook.
    pub(crate) fn webhook_called(&self, is_taken: bool) {
        let outcome = if is_taken { "taken" } else { "failed" };
        self.webhook_calls.get_or_create(&OutcomeLabel { outcome }).inc();
    }

    /// Counts a spot check.
    pub(crate) fn checked(&self, checked: SpotCheckVerdict) {
        let outcome = checked.word();
        self.spot_checks.get_or_create(&OutcomeLabel { outcome }).inc();
    }

    pub(crate) fn submitted(&self, requester: Requester) {
        self.submitted.get_or_create(&asked_by(requester)).inc();
    }

    pub(crate) fn ended(&self, Ended { preheat, verdict }: &Ended) {
        let (outcome, side) = match verdict {
            Verdict::Succeeded => ("succeeded", None),
            Verdict::Failed { side, .. } => ("failed", Some(*side)),
            Verdict::Cancelled { .. } => ("cancelled", None),
        };
        self.ended.get_or_create(&ending(outcome, side)).inc();
        let took = preheat.finished_ms.unwrap_or(preheat.begun_ms()) - preheat.begun_ms();
        let trace = preheat.trace.as_deref().and_then(TraceContext::parse);
        let exemplar = trace.filter(TraceContext::is_sampled).map(|trace| TraceLabel {
            trace_id: trace.trace_id().to_owned(),
        });
        let duration = self.duration.get_or_create(&OutcomeLabel { outcome });
        duration.observe(seconds(took), exemplar, None);
    }

    pub(crate) fn closed(&self, closed: &Closed) {
        add(&self.placements_ended, &ending("verified", None), closed.verified);
        for (side, failed) in closed.failures() {
            add(&self.placements_ended, &ending("failed", Some(side)), failed);
        }
        for (source, bytes) in [("registry", closed.from_registry), ("peer", closed.from_peers)] {
            self.placed_bytes
                .get_or_create(&SourceLabel { source })
                .inc_by(bytes);
        }
    }
}

fn add(family: &Family<EndingLabels, Counter>, ending: &EndingLabels, more: i64) {
    family
        .get_or_create(ending)
        .inc_by(u64::try_from(more).unwrap_or(0));
}

fn asked_by(requester: Requester) -> RequesterLabel {
    RequesterLabel {
        asked_by: requester.word(),
    }
}

fn ending(outcome: &'static str, side: Option<Side>) -> EndingLabels {
    EndingLabels {
        outcome,
        side: side.map_or("none", Side::word),
    }
}
