//! Metrics of the database: duration of writes, waiting writes, connections.
//!
//! **Invariant:** nothing here waits: durations are recorded afterwards, and a scrape reads counters in memory.

use std::fmt;
use std::sync::Weak;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::pools::Pools;
use crate::writer::Urgency;

/// Seconds, from a commit in memory to the time limit.
const BUCKETS: [f64; 12] = [
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0,
];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfUrgency {
    urgency: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InState {
    state: &'static str,
}

/// How long callers waited for their commit.
#[derive(Clone)]
pub(crate) struct WriteDurations(Family<OfUrgency, Histogram, fn() -> Histogram>);

impl WriteDurations {
    pub(crate) fn new() -> Self {
        let durations = Self(Family::new_with_constructor(|| Histogram::new(BUCKETS)));
        for urgency in [Urgency::Urgent, Urgency::Background] {
            drop(durations.0.get_or_create(&of(urgency)));
        }
        durations
    }

    pub(crate) fn note(&self, urgency: Urgency, took: Duration) {
        self.0.get_or_create(&of(urgency)).observe(took.as_secs_f64());
    }

    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register(
            "stoker_database_write_duration_seconds",
            "Time from the request for a write to its commit",
            self.0.clone(),
        );
    }
}

fn of(urgency: Urgency) -> OfUrgency {
    let urgency = match urgency {
        Urgency::Urgent => "urgent",
        Urgency::Background => "background",
    };
    OfUrgency { urgency }
}

/// Reads the gauges on scrape; empty once the database is closed.
pub(crate) struct DatabaseGauges(pub(crate) Weak<Pools>);

impl fmt::Debug for DatabaseGauges {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("DatabaseGauges")
    }
}

impl Collector for DatabaseGauges {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let Some(database) = self.0.upgrade() else {
            return Ok(());
        };
        let waiting = i64::try_from(database.writer.queued()).unwrap_or(i64::MAX);
        let (name, help) = ("stoker_database_writes_waiting", "Writes that wait for a batch");
        encode_gauge(&mut encoder, name, help, waiting)?;
        let (idle, used) = database.connections();
        let help = "Open connections to the database";
        let states = [("idle", idle), ("used", used)].map(|(state, count)| (InState { state }, count));
        encode_gauges(&mut encoder, "stoker_database_connections", help, states)
    }
}

/// Encodes a gauge without labels.
pub fn encode_gauge(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    value: impl EncodeGaugeValue,
) -> fmt::Result {
    let gauge = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    ConstGauge::new(value).encode(gauge)
}

/// Encodes a gauge with its current values, each with its labels.
pub fn encode_gauges<L: EncodeLabelSet, V: EncodeGaugeValue>(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (L, V)>,
) -> fmt::Result {
    let mut gauge = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, value) in values {
        ConstGauge::new(value).encode(gauge.encode_family(&labels)?)?;
    }
    Ok(())
}
