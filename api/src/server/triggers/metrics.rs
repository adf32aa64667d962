//! Counts the outcomes of push events.

use preheat::Requester;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A preheat was created, now or by an earlier delivery.
    Taken,
    NoRule,
    /// Nothing that a preheat is made of: a blob, a deletion, another type of event.
    PassedOver,
    Malformed,
    /// A rule names what is not there or not allowed.
    Refused,
}

impl Outcome {
    const ALL: [Self; 5] = [
        Self::Taken,
        Self::NoRule,
        Self::PassedOver,
        Self::Malformed,
        Self::Refused,
    ];

    fn word(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::NoRule => "no_rule",
            Self::PassedOver => "passed_over",
            Self::Malformed => "malformed",
            Self::Refused => "refused",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    source: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone)]
pub(crate) struct TriggerMetrics(Family<Labels, Counter>);

impl Default for TriggerMetrics {
    fn default() -> Self {
        let metrics = Self(Family::default());
        for source in [Requester::Kraken, Requester::Notification, Requester::Webhook] {
            for outcome in Outcome::ALL {
                drop(metrics.counter(source, outcome));
            }
        }
        metrics
    }
}

impl TriggerMetrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register(
            "stoker_triggers",
            "Events that registries and Harbor reported, by outcome",
            self.0.clone(),
        );
    }

    pub(crate) fn count(&self, source: Requester, outcome: Outcome) {
        self.counter(source, outcome).inc();
    }

    fn counter(&self, source: Requester, outcome: Outcome) -> Counter {
        let labels = Labels {
            source: source.word(),
            outcome: outcome.word(),
        };
        self.0.get_or_create_owned(&labels)
    }
}
