//! `max_connections`: who may ask a registry now, and who waits for a turn.
//!
//! **Invariant:** a turn lasts from before the request is sent until its answer's body is read or dropped, wherever a
//! redirect led it; so no more than the configured number is on its way at one time.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::{Asked, RegistryError};

/// The turns of one registry. A clone is the same ones.
#[derive(Clone, Default)]
pub(crate) struct Turns(Option<(NonZeroU32, Arc<Semaphore>)>);

/// One request's turn; over when it is dropped.
pub(super) struct Turn {
    _permit: Option<OwnedSemaphorePermit>,
}

impl Turns {
    pub(crate) fn of(limit: Option<NonZeroU32>) -> Self {
        let permits =
            |limit: NonZeroU32| usize::try_from(limit.get()).map_or(Semaphore::MAX_PERMITS, |all| all);
        Self(limit.map(|limit| {
            (
                limit,
                Arc::new(Semaphore::new(permits(limit).min(Semaphore::MAX_PERMITS))),
            )
        }))
    }

    pub(crate) fn limit(&self) -> Option<NonZeroU32> {
        self.0.as_ref().map(|(limit, _)| *limit)
    }

    pub(super) async fn next(&self, asked: &Asked, wait: Duration) -> Result<Turn, RegistryError> {
        let Some((limit, semaphore)) = &self.0 else {
            return Ok(Turn { _permit: None });
        };
        match timeout(wait, Arc::clone(semaphore).acquire_owned()).await {
            // Nobody closes it.
            Ok(permit) => Ok(Turn { _permit: permit.ok() }),
            Err(_) => Err(RegistryError::NoTurn {
                asked: asked.clone(),
                limit: *limit,
                waited: wait,
            }),
        }
    }
}
