//! What `share` answers from: the store, and the objects that are being fetched.

use axum::http::HeaderMap;
use oci::{Digest, Location};
use prometheus_client::metrics::counter::Counter;
use store::{Sealed, Store};
use wire::between_peers::LOCATION_HEADER;

use super::answer::Outgoing;
use super::crowds::Crowds;
use crate::fetch::{Fetches, PartialReader};
use crate::limits::Limits;
use crate::metrics::PeerMetrics;

/// What `share` answers from.
#[derive(Clone)]
pub struct ShareState {
    pub(super) store: Store,
    pub(super) sent: Counter,
    pub(super) limits: Limits,
    /// Objects that are being fetched are shared as far as they have landed.
    fetches: Option<Fetches>,
    pub(super) crowds: Crowds,
}

impl ShareState {
    pub fn new(store: Store, limits: Limits, metrics: &PeerMetrics) -> Self {
        Self {
            store,
            sent: metrics.sent_by("share"),
            limits,
            fetches: None,
            crowds: Crowds::default(),
        }
    }

    /// Shares also objects that are being fetched, as far as they have landed.
    #[must_use]
    pub fn sharing(self, fetches: Fetches) -> Self {
        let fetches = Some(fetches);
        Self { fetches, ..self }
    }

    pub(super) fn outgoing(&self) -> Outgoing {
        Outgoing {
            sent: self.sent.clone(),
            limits: self.limits.clone(),
        }
    }

    pub(super) fn partial_reader(&self, digest: &Digest) -> Option<PartialReader> {
        self.fetches.as_ref()?.partial_reader(digest)
    }

    pub(super) fn partial_reader_from(&self, digest: &Digest, location: &Location) -> Option<PartialReader> {
        self.fetches.as_ref()?.partial_reader_from(digest, location)
    }
}

/// Returns the object if it is sealed here and delivered at the location that the request names.
pub(super) fn delivered(state: &ShareState, digest: &Digest, headers: &HeaderMap) -> Option<Sealed> {
    let location = location(headers)?;
    let sealed = state.store.sealed(digest)?;
    state.store.has_delivered(digest, &location).then_some(sealed)
}

/// Returns the location that the calling peer wants the object from.
pub(super) fn location(headers: &HeaderMap) -> Option<Location> {
    headers.get(LOCATION_HEADER)?.to_str().ok()?.parse().ok()
}
