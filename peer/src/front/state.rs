//! What the front answers from.

use std::sync::Arc;
use std::time::Duration;

use store::Store;
use tokio::sync::Semaphore;

use crate::access::Access;
use crate::config::{FrontLimits, UnprovenRanges};
use crate::delivery::Delivery;
use crate::fetch::Fetches;
use crate::metrics::PeerMetrics;
use crate::neighbours::Neighbours;
use crate::pulls::RecentPulls;

/// Requests that are answered at one time. Runtimes take the others to the registry at once.
const AT_ONCE: usize = 1_024;
/// Lists that are read at one time. Each is in memory.
const LISTS_AT_ONCE: usize = 64;
/// As long as a location has to prove that it delivers an object.
const PROOF_LIMIT: Duration = Duration::from_secs(50);

/// What the front answers from. Clones share it.
#[derive(Clone)]
pub struct FrontState(pub(super) Arc<Front>);

pub(super) struct Front {
    pub(super) access: Access,
    pub(super) delivery: Delivery,
    pub(super) store: Store,
    pub(super) fetches: Fetches,
    pub(super) metrics: PeerMetrics,
    pub(super) pulls: RecentPulls,
    pub(super) neighbours: Neighbours,
    pub(super) ranges: RangeRules,
    pub(super) now: Box<dyn Fn() -> i64 + Send + Sync>,
    pub(super) room: Arc<Semaphore>,
    pub(super) room_for_lists: Semaphore,
}

/// What readers of ranges get before the object is proven, and what is fetched for them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RangeRules {
    /// Fetch the rest of the object too.
    pub(crate) prefetch: bool,
    pub(crate) unproven: UnprovenRanges,
    /// How long a reader waits for the proof of the whole object.
    pub(crate) proof_limit: Duration,
}

impl RangeRules {
    pub(crate) fn of(limits: &FrontLimits) -> Self {
        Self {
            prefetch: limits.prefetch,
            unproven: limits.unproven_ranges,
            proof_limit: PROOF_LIMIT,
        }
    }
}

impl FrontState {
    pub(crate) fn new(
        access: Access,
        delivery: Delivery,
        store: Store,
        fetches: Fetches,
        neighbours: Neighbours,
        ranges: RangeRules,
        now: impl Fn() -> i64 + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Front {
            access,
            delivery,
            room: Arc::new(Semaphore::new(AT_ONCE)),
            room_for_lists: Semaphore::new(LISTS_AT_ONCE),
            now: Box::new(now),
            metrics: fetches.metrics().clone(),
            pulls: RecentPulls::default(),
            store,
            fetches,
            neighbours,
            ranges,
        }))
    }

    /// Returns the recent pulls.
    pub(crate) fn pulls(&self) -> &RecentPulls {
        &self.0.pulls
    }
}
