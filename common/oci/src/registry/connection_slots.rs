//! `max_connections`: limits the simultaneous requests to a registry.
//!
//! **Invariant:** a slot is held from before a request is sent until the body of its response is read or dropped, also
//! across redirects. So no more than the configured number of requests run at a time.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::widths::WidthPlace;
use crate::{RegistryError, RequestedObject};

/// The connection slots of one registry. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct ConnectionSlots(Option<(NonZeroU32, Arc<Semaphore>)>);

/// The slot of one request, freed on drop.
#[derive(Default)]
pub(super) struct ConnectionSlot {
    _permit: Option<OwnedSemaphorePermit>,
    /// The place among those that the registry allows, if this request is counted.
    pub(super) place: Option<WidthPlace>,
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
        requested: &RequestedObject,
        wait: Duration,
    ) -> Result<ConnectionSlot, RegistryError> {
        let Some((limit, semaphore)) = &self.0 else {
            return Ok(ConnectionSlot::default());
        };
        match timeout(wait, Arc::clone(semaphore).acquire_owned()).await {
            // The semaphore is never closed.
            Ok(permit) => Ok(ConnectionSlot {
                _permit: permit.ok(),
                place: None,
            }),
            Err(_) => Err(RegistryError::NoFreeConnection {
                requested: requested.clone(),
                limit: *limit,
                waited: wait,
            }),
        }
    }
}
