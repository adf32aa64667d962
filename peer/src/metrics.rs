//! The metrics of a peer: objects asked for at the front, bytes in and out, fetches, its store, its session.
//!
//! **Invariant:** every known label value is there from the start, at 0. Names from outside are bounded. A
//! scrape reads memory and the free space of the disk, nothing else.

mod labels;
mod store_gauges;

use std::sync::Arc;
use std::time::Duration;

use process::metrics::{BoundedLabels, Counting, Metrics, TraceLabel, exemplar};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use wire::{PullResult, Side};

use labels::{DoorLabel, EndedLabels, OutcomeLabel, ParentLabel, ResultLabel, SourceLabel};
use store::Store;
use store_gauges::StoreGauges;

/// Bucket bounds in seconds: from a manifest in memory to a large layer over a slow link.
const OBJECT_SECONDS: [f64; 13] = [
    0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0, 30.0, 120.0, 600.0,
];
/// Parents with a counter of their own.
const PARENTS: usize = 64;
const SEALED: &str = "sealed";
const FAILED: &str = "failed";

type ObjectDurations =
    Family<ResultLabel, HistogramWithExemplars<TraceLabel>, fn() -> HistogramWithExemplars<TraceLabel>>;
type FetchDurations = Family<OutcomeLabel, Histogram, fn() -> Histogram>;

/// All counters of one peer. Clones share them.
#[derive(Clone)]
pub struct PeerMetrics(Arc<PeerCounters>);

struct PeerCounters {
    objects: Family<ResultLabel, Counter>,
    object_durations: ObjectDurations,
    bytes_in: Family<SourceLabel, Counter>,
    from_registry: Counter,
    from_peers: Counter,
    bytes_out: Family<DoorLabel, Counter>,
    fetches: Family<EndedLabels, Counter>,
    fetch_durations: FetchDurations,
    fetches_running: Gauge,
    chunk_failures: Family<ParentLabel, Counter>,
    parents: BoundedLabels,
    session_up: Gauge,
    lots_running: Gauge,
}

impl Default for PeerMetrics {
    fn default() -> Self {
        let bytes_in = Family::<SourceLabel, Counter>::default();
        let from = |source| bytes_in.get_or_create_owned(&SourceLabel { source });
        let counted = PeerCounters {
            from_registry: from("registry"),
            from_peers: from("peer"),
            bytes_in,
            objects: Family::default(),
            object_durations: Family::new_with_constructor(|| {
                HistogramWithExemplars::new(OBJECT_SECONDS.into_iter())
            }),
            bytes_out: Family::default(),
            fetches: Family::default(),
            fetch_durations: Family::new_with_constructor(|| Histogram::new(OBJECT_SECONDS)),
            fetches_running: Gauge::default(),
            chunk_failures: Family::default(),
            parents: BoundedLabels::new(PARENTS),
            session_up: Gauge::default(),
            lots_running: Gauge::default(),
        };
        counted.begin_at_zero();
        Self(Arc::new(counted))
    }
}

impl PeerMetrics {
    /// Adds all metrics to the admin port.
    pub(crate) fn register(&self, metrics: &Metrics, store: &Store) {
        let gauges = StoreGauges::new(store);
        metrics.register(|registry| {
            self.0.register(registry);
            registry.register_collector(Box::new(gauges));
        });
    }

    /// Counts an object that a runtime asked for, at its last byte. Call it in the request's span, which
    /// becomes the exemplar.
    pub(crate) fn pulled(&self, result: PullResult, took: Duration) {
        let label = ResultLabel {
            result: result.word(),
        };
        self.0.objects.get_or_create(&label).inc();
        let durations = self.0.object_durations.get_or_create(&label);
        durations.observe(took.as_secs_f64(), exemplar(), None);
    }

    pub(crate) fn received(&self, is_registry: bool, bytes: u64) {
        let counter = if is_registry {
            &self.0.from_registry
        } else {
            &self.0.from_peers
        };
        counter.inc_by(bytes);
    }

    /// The counter of the bytes that a door sends.
    pub(crate) fn sent_by(&self, door: &'static str) -> Counter {
        self.0.bytes_out.get_or_create_owned(&DoorLabel { door })
    }

    pub(crate) fn fetch_begins(&self) -> Counting {
        Counting::in_gauge(&self.0.fetches_running)
    }

    /// `failed_on` is the side of a failure, or `None` when the object is sealed.
    pub(crate) fn fetch_ended(&self, failed_on: Option<Side>, took: Duration) {
        let labels = EndedLabels::of(failed_on);
        let duration = OutcomeLabel {
            outcome: labels.outcome,
        };
        self.0.fetches.get_or_create(&labels).inc();
        let durations = self.0.fetch_durations.get_or_create(&duration);
        durations.observe(took.as_secs_f64());
    }

    /// Counts a chunk from a parent that did not match its hash.
    pub(crate) fn chunk_failed(&self, parent: &str) {
        let parent = self.0.parents.name(parent).to_owned();
        self.0.chunk_failures.get_or_create(&ParentLabel { parent }).inc();
    }

    pub(crate) fn session_begins(&self) -> Counting {
        Counting::in_gauge(&self.0.session_up)
    }

    pub(crate) fn lot_begins(&self) -> Counting {
        Counting::in_gauge(&self.0.lots_running)
    }
}

impl PeerCounters {
    fn begin_at_zero(&self) {
        for result in PullResult::ALL.map(PullResult::word) {
            let label = ResultLabel { result };
            drop(self.objects.get_or_create(&label));
            drop(self.object_durations.get_or_create(&label));
        }
        for door in ["front", "share", "relay"] {
            drop(self.bytes_out.get_or_create(&DoorLabel { door }));
        }
        for failed_on in std::iter::once(None).chain(Side::ALL.map(Some)) {
            drop(self.fetches.get_or_create(&EndedLabels::of(failed_on)));
        }
        for outcome in [SEALED, FAILED] {
            drop(self.fetch_durations.get_or_create(&OutcomeLabel { outcome }));
        }
        let parent = "other".to_owned();
        drop(self.chunk_failures.get_or_create(&ParentLabel { parent }));
    }

    fn register(&self, registry: &mut Registry) {
        registry.register(
            "stoker_front_objects",
            "Objects that container runtimes asked for, by what became of it",
            self.objects.clone(),
        );
        registry.register(
            "stoker_front_object_duration_seconds",
            "Time from the request of a container runtime to the last byte of the object",
            self.object_durations.clone(),
        );
        registry.register(
            "stoker_bytes_in",
            "Bytes of objects that came from registries and from other peers",
            self.bytes_in.clone(),
        );
        registry.register(
            "stoker_bytes_out",
            "Bytes of objects that went to container runtimes (front) and to other peers (share)",
            self.bytes_out.clone(),
        );
        self.register_fetches(registry);
        registry.register(
            "stoker_session_up",
            "1 while the manager knows this peer, 0 while it does not",
            self.session_up.clone(),
        );
        registry.register(
            "stoker_lots_running",
            "Lots of placements that this peer works on",
            self.lots_running.clone(),
        );
    }

    fn register_fetches(&self, registry: &mut Registry) {
        registry.register(
            "stoker_fetches_ended",
            "Fetches that have ended, by outcome and by whose side a failure was on; one for all readers of an object",
            self.fetches.clone(),
        );
        registry.register(
            "stoker_fetch_duration_seconds",
            "Time from the beginning of a fetch until its object was sealed or given up",
            self.fetch_durations.clone(),
        );
        registry.register(
            "stoker_fetches_running",
            "Fetches that run at this moment",
            self.fetches_running.clone(),
        );
        registry.register(
            "stoker_chunk_failures",
            "Chunks that came with other bytes than their hash promises, by the peer that gave them",
            self.chunk_failures.clone(),
        );
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use process::metrics::Format;

    use super::*;

    /// Every metric of the contract, as a scrape shows it.
    const NAMES: [&str; 18] = [
        "stoker_front_objects_total{result=\"hit\"} 0",
        "stoker_front_object_duration_seconds_count{result=\"miss\"} 0",
        "stoker_bytes_in_total{source=\"registry\"} 0",
        "stoker_bytes_in_total{source=\"peer\"} 0",
        "stoker_bytes_out_total{door=\"front\"} 0",
        "stoker_bytes_out_total{door=\"share\"} 0",
        "stoker_fetches_ended_total{outcome=\"sealed\",side=\"none\"} 0",
        "stoker_fetch_duration_seconds_count{outcome=\"failed\"} 0",
        "stoker_fetches_running 0",
        "stoker_chunk_failures_total{parent=\"other\"} 0",
        "stoker_store_bytes 0",
        "stoker_store_objects 0",
        "stoker_store_partial_objects 0",
        "stoker_store_disk_free_bytes ",
        "stoker_store_rooms_refused_total 0",
        "stoker_store_removals_total{reason=\"evicted\"} 0",
        "stoker_session_up 0",
        "stoker_lots_running 0",
    ];

    /// The text of a scrape.
    pub(crate) fn scraped(metrics: &PeerMetrics, store: &Store) -> String {
        let shown = Metrics::new();
        metrics.register(&shown, store);
        shown.text(Format::OpenMetrics)
    }

    #[test]
    fn every_metric_is_there_from_the_start_at_zero() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).expect("a store");
        let text = scraped(&PeerMetrics::default(), &store);
        for name in NAMES {
            assert!(text.contains(name), "{name} is missing in\n{text}");
        }
        for side in Side::ALL.map(Side::word) {
            let name = format!("stoker_fetches_ended_total{{outcome=\"failed\",side=\"{side}\"}} 0");
            assert!(text.contains(&name), "{name} is missing in\n{text}");
        }
        assert!(!text.contains("stoker_store_disk_free_bytes 0\n"), "{text}");
    }

    #[test]
    fn parents_beyond_the_bound_share_a_counter() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).expect("a store");
        let metrics = PeerMetrics::default();
        for number in 0..PARENTS + 3 {
            metrics.chunk_failed(&format!("10.0.0.{number}:65002"));
        }
        let text = scraped(&metrics, &store);
        assert!(
            text.contains("stoker_chunk_failures_total{parent=\"other\"} 3"),
            "{text}"
        );
        assert!(
            text.contains("stoker_chunk_failures_total{parent=\"10.0.0.0:65002\"} 1"),
            "{text}"
        );
    }

    #[test]
    fn running_fetches_are_counted_until_they_are_dropped() {
        let metrics = PeerMetrics::default();
        let (one, other) = (metrics.fetch_begins(), metrics.fetch_begins());
        assert_eq!(metrics.0.fetches_running.get(), 2);
        drop((one, other));
        assert_eq!(metrics.0.fetches_running.get(), 0);
    }
}
