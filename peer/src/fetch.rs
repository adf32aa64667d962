//! One fetch per object, any number of readers.
//!
//! The first who asks starts it; everyone, the first included, reads what has landed so far. A fetch belongs to
//! the process, not to a reader: a reader that leaves stops nothing.
//!
//! **Invariant:** the last chunk is held back from every reader until the sha256 over the whole is proven, so a
//! wrong object ends as a broken transfer and never as a complete one. It waits for the proof, not for the disk.

mod blocks;
mod error;
mod faults;
mod following;
mod passing;
mod progress;
mod report;
mod run;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use oci::{Credential, Digest, RegistryName, Repository};
use process::Running;
use tokio::sync::watch;
use tracing::{Instrument as _, info_span};
use wire::{ObjectKind, TraceContext};

pub use crate::source::Sources;
pub use error::FetchError;
pub use following::Following;
pub use report::{FetchReport, SourceUse};

use crate::source::Origin;
use crate::store::Store;
use progress::Progress;

/// An object, and where it may come from.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub digest: Digest,
    pub kind: ObjectKind,
    /// When it is known beforehand, no other size is taken.
    pub size: Option<u64>,
    pub media_type: Option<String>,
    pub registry: RegistryName,
    /// Path that the registry's `/v2/` lies under.
    pub base_path: String,
    /// Plain HTTP beside what the registry's settings say.
    pub plain_http: bool,
    pub repository: Repository,
    pub credential: Credential,
    /// `share` URLs of peers that may have the object whole, best first. They are asked before the registry.
    pub parents: Vec<String>,
    pub origin_allowed: bool,
    pub trace: Option<TraceContext>,
}

/// All fetches of one peer. Clones share them.
#[derive(Clone)]
pub struct Fetches(Arc<Inner>);

struct Inner {
    store: Store,
    sources: Sources,
    running: Running,
    now: Mutex<HashMap<Digest, Ongoing>>,
}

/// A fetch that runs: what can be seen of it, and for whom it was started.
#[derive(Clone)]
struct Ongoing {
    view: watch::Receiver<Progress>,
    starter: Arc<Wanted>,
}

impl Fetches {
    pub fn new(store: Store, sources: Sources, running: Running) -> Self {
        Self(Arc::new(Inner {
            store,
            sources,
            running,
            now: Mutex::default(),
        }))
    }

    /// Follows the fetch of this object: the one that runs, or a new one. An object that is whole already is
    /// followed too; nothing is fetched then.
    ///
    /// Whether the caller may read the object is for the caller of this to find out.
    pub fn join_or_start(&self, wanted: Wanted) -> Following {
        let wanted = Arc::new(wanted);
        let ongoing = self.ongoing(&wanted);
        Following::new(self.clone(), wanted, ongoing)
    }

    /// The client for other peers' `share`.
    pub fn peers(&self) -> &crate::source::ShareClient {
        self.0.sources.peers()
    }

    fn ongoing(&self, wanted: &Arc<Wanted>) -> Ongoing {
        let mut now = self.now();
        if let Some(ongoing) = now.get(&wanted.digest) {
            return ongoing.clone();
        }
        // Looked at while the map is locked: a fetch seals before it leaves the map.
        if let Some(sealed) = self.0.store.sealed(&wanted.digest) {
            return Ongoing {
                view: watch::channel(Progress::of_sealed(sealed)).1,
                starter: wanted.clone(),
            };
        }
        let (progress, view) = watch::channel(Progress::default());
        let ongoing = Ongoing {
            view,
            starter: wanted.clone(),
        };
        now.insert(wanted.digest.clone(), ongoing.clone());
        drop(now);
        self.start(wanted.clone(), progress);
        ongoing
    }

    fn start(&self, wanted: Arc<Wanted>, progress: watch::Sender<Progress>) {
        let span = info_span!(
            "fetch",
            stoker.digest = %wanted.digest,
            stoker.size = tracing::field::Empty,
            stoker.outcome = tracing::field::Empty,
        );
        if let Some(trace) = &wanted.trace {
            trace.adopt(&span);
        }
        let ends = LeavesMap {
            fetches: self.clone(),
            digest: wanted.digest.clone(),
        };
        let (store, sources) = (self.0.store.clone(), self.0.sources.clone());
        let work = async move {
            let stage = run::Fetch::new(store, sources, wanted, &progress).run().await;
            tracing::Span::current().record("stoker.outcome", stage.name());
            // The next who asks after a failure starts anew, whatever the readers of this one do.
            drop(ends);
            progress.send_modify(|now| now.stage = stage);
        };
        self.0.running.spawn(work.instrument(span));
    }

    fn now(&self) -> MutexGuard<'_, HashMap<Digest, Ongoing>> {
        self.0.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the fetch off the map when it ends, however it ends.
struct LeavesMap {
    fetches: Fetches,
    digest: Digest,
}

impl Drop for LeavesMap {
    fn drop(&mut self) {
        self.fetches.now().remove(&self.digest);
    }
}

impl Wanted {
    fn origin(&self) -> Origin {
        Origin {
            registry: self.registry.clone(),
            base_path: self.base_path.clone(),
            plain_http: self.plain_http,
            repository: self.repository.clone(),
            credential: self.credential.clone(),
        }
    }

    /// Whether a fetch of one's own may succeed where the one that `starter` started failed.
    fn may_do_better(&self, starter: &Self, error: &FetchError) -> bool {
        let another_way_in = self.origin_allowed
            && (!starter.origin_allowed
                || error.side() == wire::Side::Caller
                    && (self.credential != starter.credential
                        || self.registry != starter.registry
                        || self.repository != starter.repository));
        let another_parent = self
            .parents
            .iter()
            .any(|parent| !starter.parents.contains(parent));
        another_way_in || another_parent
    }
}
