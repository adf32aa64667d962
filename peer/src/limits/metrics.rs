//! Counts what the limits delayed.

use std::time::Duration;

use process::metrics::Metrics;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use std::sync::atomic::AtomicU64;

use super::bucket::Class;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    limit: &'static str,
    class: &'static str,
}

/// Clones share the counters.
#[derive(Clone, Default)]
pub(super) struct LimitMetrics {
    bytes: Family<Labels, Counter>,
    seconds: Family<Labels, Counter<f64, AtomicU64>>,
}

impl LimitMetrics {
    /// Makes every limit appear from the start, at 0.
    pub(super) fn begin_at_zero(&self, limits: &[&'static str]) {
        for limit in limits {
            for class in Class::ALL {
                self.passed(limit, class, 0, Duration::ZERO);
            }
        }
    }

    pub(super) fn passed(&self, limit: &'static str, class: Class, bytes: u64, waited: Duration) {
        let class = class.word();
        let labels = Labels { limit, class };
        self.bytes.get_or_create(&labels).inc_by(bytes);
        self.seconds.get_or_create(&labels).inc_by(waited.as_secs_f64());
    }

    pub(super) fn register(&self, metrics: &Metrics) {
        metrics.register(|registry| {
            registry.register(
                "stoker_limited_bytes",
                "Bytes of objects that passed a limit of bandwidth which is set, by limit and by for whom they moved",
                self.bytes.clone(),
            );
            registry.register(
                "stoker_limit_wait_seconds",
                "Time that transfers waited because of a limit of bandwidth",
                self.seconds.clone(),
            );
        });
    }
}
