//! What `relay` answers from.

use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use store::Store;

use crate::access::Access;
use crate::delivery::Delivery;
use crate::fetch::Fetches;
use crate::limits::Limits;
use crate::metrics::PeerMetrics;
use crate::neighbours::Surroundings;

#[derive(Clone)]
pub struct RelayState {
    pub(super) access: Access,
    pub(super) delivery: Delivery,
    pub(super) fetches: Fetches,
    pub(super) store: Store,
    pub(super) sent: Counter,
    pub(super) limits: Limits,
    pub(super) around: Arc<dyn Surroundings>,
}

impl RelayState {
    pub(crate) fn new(
        access: Access,
        delivery: Delivery,
        fetches: Fetches,
        store: Store,
        around: impl Surroundings + 'static,
        limits: Limits,
        metrics: &PeerMetrics,
    ) -> Self {
        Self {
            access,
            delivery,
            fetches,
            store,
            sent: metrics.sent_by("relay"),
            limits,
            around: Arc::new(around),
        }
    }
}
