//! Gauges of what is going on.

use prometheus_client::metrics::gauge::Gauge;

/// Counts up at its beginning and down at its end, however that comes about: a client that leaves drops its handler.
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
