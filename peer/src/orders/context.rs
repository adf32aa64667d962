//! The shared state of the work for the manager.

use store::Store;
use wire::{Hello, ManagerClient, Role};

use crate::delivery::Delivery;
use crate::fetch::Fetches;
use crate::membership::Membership;
use crate::metrics::PeerMetrics;
use crate::neighbours::Neighbours;
use crate::pulls::RecentPulls;
use crate::records::Records;

/// The shared state of the work for the manager.
#[derive(Clone)]
pub(crate) struct OrdersContext {
    pub(crate) manager: ManagerClient,
    pub(crate) me: OwnDescription,
    pub(crate) store: Store,
    pub(crate) records: Records,
    pub(crate) fetches: Fetches,
    pub(crate) delivery: Delivery,
    pub(crate) neighbours: Neighbours,
    pub(crate) membership: Membership,
    pub(crate) pulls: RecentPulls,
    pub(crate) metrics: PeerMetrics,
}

/// How this peer describes itself to the manager.
#[derive(Clone)]
pub(crate) struct OwnDescription {
    pub(crate) name: String,
    pub(crate) cluster: String,
    pub(crate) role: Role,
    pub(crate) advertise: Option<String>,
    pub(crate) share_port: u16,
}

impl OwnDescription {
    /// Returns the URL of our `share`. The host is `*` without `advertise`: the address that our requests come from.
    pub(crate) fn share_url(&self) -> String {
        let scheme = "https";
        let bracketed_whole = |host: &str| host.starts_with('[') && host.ends_with(']');
        match self.advertise.as_deref() {
            Some(host) if host.contains(':') && !bracketed_whole(host) => format!("{scheme}://{host}"),
            Some(host) => format!("{scheme}://{host}:{}", self.share_port),
            None => format!("{scheme}://*:{}", self.share_port),
        }
    }
}

impl OrdersContext {
    pub(super) fn hello(&self) -> Hello {
        let held = self.store.held();
        Hello {
            wire_version: wire::VERSION,
            name: self.me.name.clone(),
            advertise: self.me.advertise.clone(),
            share_port: self.me.share_port,
            software: process::http::USER_AGENT.to_owned(),
            holdings_hash: wire::holdings_hash(held.iter().map(|held| held.digest.as_str())),
        }
    }
}
