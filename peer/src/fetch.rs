//! One fetch per object, any number of readers.
//!
//! The first who asks starts it; everyone, the first included, reads what has landed so far. A fetch belongs to
//! the process, not to a reader: a reader that leaves stops nothing.
//!
//! **Invariant:** the last chunk is held back from every reader until the sha256 over the whole is proven, so a
//! wrong object ends as a broken transfer and never as a complete one. It waits for the proof, not for the disk.

mod batches;
mod bypass;
mod error;
mod faults;
mod following;
mod keep;
mod needs;
mod object;
mod partial_reader;
mod progress;
mod report;
mod run;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use oci::{Credential, Digest, Location};
use parking_lot::{Mutex, MutexGuard};
use process::Running;
use process::metrics::Counting;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{Span, debug, field, info_span};
use wire::{ObjectKind, TraceContext};

pub use crate::source::Sources;
pub use error::FetchError;
pub use following::Following;
pub(crate) use object::{Object, Pieces};
pub(crate) use partial_reader::Partly;
pub use report::{FetchReport, SourceUse};

use crate::limits::Class;
use crate::metrics::PeerMetrics;
use crate::source::AtRegistry;
use crate::spans::mark_failed;
use needs::Needs;
use progress::{Progress, Stage};
use store::Store;

/// A task that was told to end does so when it is next looked at.
const TASK_ENDS_STEP: Duration = Duration::from_millis(10);
const TASK_ENDS_STEPS: u32 = 200;

/// An object, and where it may come from.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub digest: Digest,
    pub kind: ObjectKind,
    /// When it is known beforehand, no other size is taken.
    pub size: Option<u64>,
    /// What a caller or a registry has said of the size: good for choosing a way, and never believed.
    pub size_hint: Option<u64>,
    pub media_type: Option<String>,
    /// Where the registry has it.
    pub location: Location,
    pub credential: Credential,
    /// `share` URLs of peers that may have the object whole, best first. They are asked before the registry.
    pub parents: Vec<String>,
    /// Seeds that fetch it from the registry for us when no parent has it, best first.
    pub relays: Vec<String>,
    pub origin_allowed: bool,
    pub extent: Extent,
    /// How urgent the whole is.
    pub class: Class,
    pub trace: Option<TraceContext>,
}

/// How much of an object is to be fetched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Extent {
    #[default]
    Whole,
    /// What is read of it, and no more, unless somebody else wants the whole.
    Parts,
    /// What is read of it, then the rest.
    PartsFirst,
}

/// All fetches of one peer. Clones share them.
#[derive(Clone)]
pub struct Fetches(Arc<Inner>);

struct Inner {
    store: Store,
    sources: Sources,
    running: Running,
    metrics: PeerMetrics,
    now: Mutex<HashMap<Digest, Ongoing>>,
}

/// A fetch that runs: what can be seen of it, and for whom it was started.
#[derive(Clone)]
struct Ongoing {
    view: watch::Receiver<Progress>,
    starter: Arc<Wanted>,
    needs: Arc<Needs>,
    /// All of its bytes come from the starter's location, what had landed before included.
    is_pure: bool,
    /// One is the map's; whoever follows has another.
    followers: Arc<()>,
    stop: CancellationToken,
    /// The fetch's span; none when nothing has to be fetched, or nothing is traced.
    span: Option<TraceContext>,
}

impl Ongoing {
    /// Whether its bytes may be read as those of this location, before they are whole.
    fn reads_from(&self, location: &Location) -> bool {
        self.is_pure && self.starter.location == *location
    }
}

/// What a follower found when it asked for the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Nothing had to be fetched.
    Here,
    /// Somebody had begun to fetch it.
    Joined,
    Started,
}

impl Fetches {
    pub fn new(store: Store, sources: Sources, running: Running, metrics: PeerMetrics) -> Self {
        Self(Arc::new(Inner {
            store,
            sources,
            running,
            metrics,
            now: Mutex::default(),
        }))
    }

    /// Follows the fetch of this object: the one that runs, or a new one. An object that is whole already is
    /// followed too; nothing is fetched then.
    ///
    /// Whether the caller may read the object is for the caller of this to find out.
    pub fn join_or_start(&self, wanted: Wanted) -> Following {
        let wanted = Arc::new(wanted);
        let (ongoing, found) = self.ongoing(&wanted);
        Following::new(self.clone(), wanted, ongoing, found)
    }

    /// Once `task` is over, the fetches of these objects end that nobody follows any more. What has landed is gone on
    /// with by the next who wants it.
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
        // While the map is locked nobody begins to follow.
        if let Some(ongoing) = self.now().get(digest)
            && Arc::strong_count(&ongoing.followers) == 1
        {
            debug!(stoker.digest = %digest, "nobody wants this object any more");
            ongoing.stop.cancel();
        }
    }

    /// What they read from.
    pub(crate) fn sources(&self) -> &Sources {
        &self.0.sources
    }

    /// What is counted of them.
    pub(crate) fn metrics(&self) -> &PeerMetrics {
        &self.0.metrics
    }

    /// The client for other peers' `share`.
    pub fn peers(&self) -> &crate::source::ShareClient {
        self.0.sources.peers()
    }

    fn ongoing(&self, wanted: &Arc<Wanted>) -> (Ongoing, Found) {
        let mut now = self.now();
        if let Some(ongoing) = now.get(&wanted.digest) {
            wanted.tell(&ongoing.needs);
            return (ongoing.clone(), Found::Joined);
        }
        // Looked at while the map is locked: a fetch seals before it leaves the map.
        if let Some(sealed) = self.0.store.sealed(&wanted.digest) {
            let ongoing = Ongoing {
                view: watch::channel(Progress::of_sealed(sealed)).1,
                starter: wanted.clone(),
                needs: Arc::default(),
                // Where a whole object came from is the store's to tell.
                is_pure: false,
                followers: Arc::default(),
                stop: CancellationToken::new(),
                span: None,
            };
            return (ongoing, Found::Here);
        }
        let (progress, view) = watch::channel(Progress::default());
        let span = span_of(wanted);
        let ongoing = Ongoing {
            view,
            starter: wanted.clone(),
            needs: Arc::default(),
            is_pure: self.0.store.partial_reads_from(&wanted.digest, &wanted.location),
            followers: Arc::default(),
            stop: CancellationToken::new(),
            span: TraceContext::of(&span),
        };
        wanted.tell(&ongoing.needs);
        now.insert(wanted.digest.clone(), ongoing.clone());
        drop(now);
        self.start(wanted.clone(), progress, &ongoing, &span);
        (ongoing, Found::Started)
    }

    fn start(&self, wanted: Arc<Wanted>, progress: watch::Sender<Progress>, ongoing: &Ongoing, span: &Span) {
        let ends = LeavesMap {
            fetches: self.clone(),
            digest: wanted.digest.clone(),
            _counting: self.0.metrics.fetch_begins(),
        };
        let (store, sources) = (self.0.store.clone(), self.0.sources.clone());
        let (needs, stop) = (ongoing.needs.clone(), ongoing.stop.clone());
        let (metrics, began) = (self.0.metrics.clone(), Instant::now());
        let is_pure = ongoing.is_pure;
        let work = async move {
            let around = run::Around {
                store,
                sources,
                metrics: metrics.clone(),
            };
            let fetch = run::Fetch::new(around, wanted, is_pure, &progress, needs, stop);
            let stage = fetch.run().await;
            note(&Span::current(), &stage);
            metrics.fetch_ended(stage.failed_on(), began.elapsed());
            // The next who asks after a failure starts anew, whatever the readers of this one do.
            drop(ends);
            progress.send_modify(|now| now.stage = stage);
        };
        // In its own span only: whoever starts it may be answered, and that span closed, long before it ends.
        span.in_scope(|| self.0.running.spawn(work));
    }

    fn now(&self) -> MutexGuard<'_, HashMap<Digest, Ongoing>> {
        self.0.now.lock()
    }
}

/// A child of the span that wants the object, which it may outlive.
fn span_of(wanted: &Wanted) -> Span {
    let span = info_span!(
        parent: None,
        "fetch",
        otel.status_code = field::Empty,
        error.type = field::Empty,
        stoker.digest = %wanted.digest,
        stoker.bytes = field::Empty,
        stoker.outcome = field::Empty,
        stoker.side = field::Empty,
    );
    if let Some(trace) = &wanted.trace {
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

/// Takes the fetch off the map when it ends, however it ends.
struct LeavesMap {
    fetches: Fetches,
    digest: Digest,
    _counting: Counting,
}

impl Drop for LeavesMap {
    fn drop(&mut self) {
        self.fetches.now().remove(&self.digest);
    }
}

impl Wanted {
    fn tell(&self, needs: &Needs) {
        match self.extent {
            Extent::Whole => needs.want_whole(self.class),
            Extent::PartsFirst => needs.want_whole(Class::Prefetch),
            Extent::Parts => {}
        }
    }

    pub(crate) fn at_registry(&self) -> AtRegistry {
        AtRegistry {
            location: self.location.clone(),
            credential: self.credential.clone(),
            size_hint: self.size.or(self.size_hint),
        }
    }

    /// Whether a fetch of one's own may succeed where the one that `starter` started failed.
    fn may_do_better(&self, starter: &Self, error: &FetchError) -> bool {
        if matches!(error, FetchError::Stopped { .. }) {
            return true;
        }
        let another_way_in = self.origin_allowed
            && (!starter.origin_allowed
                || error.side() == wire::Side::Caller
                    && (self.credential != starter.credential || self.location != starter.location));
        let another_parent = self
            .parents
            .iter()
            .any(|parent| !starter.parents.contains(parent));
        let another_relay = self.relays.iter().any(|relay| !starter.relays.contains(relay));
        another_way_in || another_parent || another_relay
    }
}
