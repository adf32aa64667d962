//! `max_connections`: who may ask a registry now, and who waits for a slot.
//!
//! **Invariant:** a slot lasts from before the request is sent until its answer's body is read or dropped, wherever a
//! redirect led it; so no more than the configured number is on its way at one time.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::{RegistryError, RequestedObject};

/// The slots of one registry. A clone is the same ones.
#[derive(Clone, Default)]
pub(crate) struct ConnectionSlots(Option<(NonZeroU32, Arc<Semaphore>)>);

/// One request's slot; over when it is dropped.
pub(super) struct ConnectionSlot {
    _permit: Option<OwnedSemaphorePermit>,
}

impl ConnectionSlots {
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

    pub(super) async fn next(
        &self,
        asked: &RequestedObject,
        wait: Duration,
    ) -> Result<ConnectionSlot, RegistryError> {
        let Some((limit, semaphore)) = &self.0 else {
            return Ok(ConnectionSlot { _permit: None });
        };
        match timeout(wait, Arc::clone(semaphore).acquire_owned()).await {
            // Nobody closes it.
            Ok(permit) => Ok(ConnectionSlot { _permit: permit.ok() }),
            Err(_) => Err(RegistryError::NoFreeConnection {
                asked: asked.clone(),
                limit: *limit,
                waited: wait,
            }),
        }
    }
}
