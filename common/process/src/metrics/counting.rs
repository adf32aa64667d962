//! Gauges of activities in progress.

use prometheus_client::metrics::gauge::Gauge;

/// Increments a gauge and decrements it on drop, also if a disconnecting client drops the handler.
pub struct Counting(Gauge);

impl Counting {
    pub fn in_gauge(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        self.0.dec();
    }
}
