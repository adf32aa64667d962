//! Bounds the streams of events that are open at the same time.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::server::problem::Problem;

const MOST_WATCHERS: usize = 256;

/// Room for the clients that watch a preheat.
#[derive(Clone)]
pub(crate) struct Watchers(Arc<Semaphore>);

impl Default for Watchers {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MOST_WATCHERS)))
    }
}

impl Watchers {
    pub(crate) fn one_more(&self) -> Result<OwnedSemaphorePermit, Problem> {
        Arc::clone(&self.0)
            .try_acquire_owned()
            .map_err(|_| Problem::busy())
    }
}
