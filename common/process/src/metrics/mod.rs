//! The metrics of this process, in the formats of Prometheus.
//!
//! **Invariant:** a scrape never waits: costly values are counted when they change.

mod bounded;
mod counting;
mod exemplar;
mod prometheus_text;
mod requests;
mod this_process;

pub use bounded::BoundedLabels;
pub use counting::Counting;
pub use exemplar::{TraceLabel, exemplar};
pub use requests::RouteTemplate;
pub(crate) use requests::{Requests, measure};
pub(crate) use this_process::register as register_process;

use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Bucket bounds for durations from a millisecond to minutes, in seconds.
pub const SECONDS: [f64; 14] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 300.0,
];

/// The registry of metrics of a program; clones share it.
#[derive(Clone)]
pub struct Metrics(Arc<MetricsInner>);

struct MetricsInner {
    registry: Mutex<Registry>,
    requests: Requests,
}

/// The two text formats that Prometheus reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    OpenMetrics,
    Prometheus,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    pub fn new() -> Self {
        let mut registry = Registry::default();
        let requests = Requests::default();
        requests.register(&mut registry);
        Self(Arc::new(MetricsInner {
            registry: Mutex::new(registry),
            requests,
        }))
    }

    pub fn register(&self, add: impl FnOnce(&mut Registry)) {
        add(&mut self.0.registry.lock());
    }

    /// Registers a gauge under its full name; `help` has no full stop.
    pub fn gauge(&self, name: &str, help: &str) -> Gauge {
        let gauge = Gauge::default();
        self.register(|registry| registry.register(name, help, gauge.clone()));
        gauge
    }

    pub fn text(&self, format: Format) -> String {
        let open_metrics = self.open_metrics();
        match format {
            Format::OpenMetrics => open_metrics,
            Format::Prometheus => prometheus_text::from_open_metrics(&open_metrics),
        }
    }

    pub(crate) fn requests(&self) -> &Requests {
        &self.0.requests
    }

    fn open_metrics(&self) -> String {
        let mut text = String::new();
        let registry = self.0.registry.lock();
        match encode(&mut text, &registry) {
            Ok(()) => text,
            Err(_) => "# EOF\n".to_owned(),
        }
    }
}
