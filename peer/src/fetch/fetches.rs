//! The fetches of one peer: at most one for each digest.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use oci::{Digest, Location};
use parking_lot::{Mutex, MutexGuard};
use process::Running;
use process::metrics::Counting;
use store::Store;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{Span, debug, field, info_span};
use wire::TraceContext;

use super::needs::Needs;
use super::progress::{Progress, Stage};
use super::run::{FetchContext, FetchTask};
use super::spec::FetchSpec;
use crate::metrics::PeerMetrics;
use crate::source::{ShareClient, Sources};
use crate::spans::mark_failed;

/// A cancelled task ends when it is next polled.
const TASK_ENDS_STEP: Duration = Duration::from_millis(10);
const TASK_ENDS_STEPS: u32 = 200;

/// All fetches of one peer. Clones share them.
#[derive(Clone)]
pub struct Fetches(Arc<FetchesInner>);

struct FetchesInner {
    store: Store,
    sources: Sources,
    running: Running,
    metrics: PeerMetrics,
    now: Mutex<HashMap<Digest, OngoingFetch>>,
}

/// A running fetch: its visible state, and the spec that started it.
#[derive(Clone)]
pub(super) struct OngoingFetch {
    pub(super) view: watch::Receiver<Progress>,
    pub(super) starter: Arc<FetchSpec>,
    pub(super) needs: Arc<Needs>,
    /// All of its bytes are from the starter's location, also those that landed in an earlier fetch.
    pub(super) is_pure: bool,
    /// The map holds one clone, and each follower another.
    pub(super) followers: Arc<()>,
    pub(super) stop: CancellationToken,
    /// The span of the fetch. `None` when nothing has to be fetched, or nothing is traced.
    pub(super) span: Option<TraceContext>,
}

impl OngoingFetch {
    /// Whether its bytes count as those of this location before the whole is proven.
    pub(super) fn reads_from(&self, location: &Location) -> bool {
        self.is_pure && self.starter.location == *location
    }
}

/// How a follower got the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetchStart {
    /// The object was held already.
    Held,
    /// A fetch was running.
    Joined,
    Started,
}

impl Fetches {
    pub fn new(store: Store, sources: Sources, running: Running, metrics: PeerMetrics) -> Self {
        Self(Arc::new(FetchesInner {
            store,
            sources,
            running,
            metrics,
            now: Mutex::default(),
        }))
    }

    /// Once `task` has ended, stops the fetches of these objects that have no followers. The next fetch
    /// continues from what has landed.
    pub(crate) fn stop_after(&self, task: AbortHandle, digests: Vec<Digest>) {
        let fetches = self.clone();
        self.0.running.spawn(async move {
            for _ in 0..TASK_ENDS_STEPS {
                if task.is_finished() {
                    break;
                }
                tokio::time::sleep(TASK_ENDS_STEP).await;
            }
            for digest in &digests {
                fetches.stop_unless_followed(digest);
            }
        });
    }

    fn stop_unless_followed(&self, digest: &Digest) {
        // While the map is locked, no follower is added.
        if let Some(ongoing) = self.now().get(digest)
            && Arc::strong_count(&ongoing.followers) == 1
        {
            debug!(stoker.digest = %digest, "fetch stopped: it has no followers");
            ongoing.stop.cancel();
        }
    }

    /// The sources of all fetches.
    pub(crate) fn sources(&self) -> &Sources {
        &self.0.sources
    }

    pub(super) fn store(&self) -> &Store {
        &self.0.store
    }

    pub(super) fn running(&self) -> &Running {
        &self.0.running
    }

    /// The counters of all fetches.
    pub(crate) fn metrics(&self) -> &PeerMetrics {
        &self.0.metrics
    }

    /// The client for other peers' `share`.
    pub fn peers(&self) -> &ShareClient {
        self.0.sources.peers()
    }

    pub(super) fn ongoing(&self, spec: &Arc<FetchSpec>) -> (OngoingFetch, FetchStart) {
        let mut now = self.now();
        if let Some(ongoing) = now.get(&spec.digest) {
            spec.add_to(&ongoing.needs);
            return (ongoing.clone(), FetchStart::Joined);
        }
        // Checked while the map is locked: a fetch seals its object before it leaves the map.
        if let Some(sealed) = self.0.store.sealed(&spec.digest) {
            let ongoing = OngoingFetch {
                view: watch::channel(Progress::of_sealed(sealed)).1,
                starter: spec.clone(),
                needs: Arc::default(),
                // The store knows where a sealed object came from.
                is_pure: false,
                followers: Arc::default(),
                stop: CancellationToken::new(),
                span: None,
            };
            return (ongoing, FetchStart::Held);
        }
        let (progress, view) = watch::channel(Progress::default());
        let span = span_of(spec);
        let ongoing = OngoingFetch {
            view,
            starter: spec.clone(),
            needs: Arc::default(),
            is_pure: self.0.store.partial_reads_from(&spec.digest, &spec.location),
            followers: Arc::default(),
            stop: CancellationToken::new(),
            span: TraceContext::of(&span),
        };
        spec.add_to(&ongoing.needs);
        now.insert(spec.digest.clone(), ongoing.clone());
        drop(now);
        self.start(spec.clone(), progress, &ongoing, &span);
        (ongoing, FetchStart::Started)
    }

    fn start(
        &self,
        spec: Arc<FetchSpec>,
        progress: watch::Sender<Progress>,
        ongoing: &OngoingFetch,
        span: &Span,
    ) {
        let ends = MapEntry::new(self, &spec.digest);
        let (store, sources) = (self.0.store.clone(), self.0.sources.clone());
        let (needs, stop) = (ongoing.needs.clone(), ongoing.stop.clone());
        let (metrics, began) = (self.0.metrics.clone(), Instant::now());
        let is_pure = ongoing.is_pure;
        let work = async move {
            let context = FetchContext {
                store,
                sources,
                metrics: metrics.clone(),
            };
            let fetch = FetchTask::new(context, spec, is_pure, &progress, needs, stop);
            let stage = fetch.run().await;
            note(&Span::current(), &stage);
            metrics.fetch_ended(stage.failed_on(), began.elapsed());
            // After a failure the next caller starts a new fetch, whatever the readers of this one do.
            drop(ends);
            progress.send_modify(|now| now.stage = stage);
        };
        // In its own span only: the starter may be answered, and its span closed, long before the fetch ends.
        span.in_scope(|| self.0.running.spawn(work));
    }

    pub(super) fn now(&self) -> MutexGuard<'_, HashMap<Digest, OngoingFetch>> {
        self.0.now.lock()
    }
}

/// A child of the caller's span, which it may outlive.
fn span_of(spec: &FetchSpec) -> Span {
    let span = info_span!(
        parent: None,
        "fetch",
        otel.status_code = field::Empty,
        error.type = field::Empty,
        stoker.digest = %spec.digest,
        stoker.bytes = field::Empty,
        stoker.outcome = field::Empty,
        stoker.side = field::Empty,
    );
    if let Some(trace) = &spec.trace {
        trace.adopt(&span);
    }
    span
}

fn note(span: &Span, stage: &Stage) {
    span.record("stoker.outcome", stage.name());
    if let Stage::Failed(error, _) = stage {
        span.record("stoker.side", error.side().word());
        mark_failed(span, error.word());
    }
}

/// Takes the fetch off the map when it is dropped.
pub(super) struct MapEntry {
    fetches: Fetches,
    digest: Digest,
    _counting: Counting,
}

impl MapEntry {
    pub(super) fn new(fetches: &Fetches, digest: &Digest) -> Self {
        Self {
            fetches: fetches.clone(),
            digest: digest.clone(),
            _counting: fetches.metrics().fetch_begins(),
        }
    }
}

impl Drop for MapEntry {
    fn drop(&mut self) {
        self.fetches.now().remove(&self.digest);
    }
}
