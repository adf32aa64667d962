//! What the manager wants of this peer: sessions, work, progress, settling.
//!
//! The peer calls; the manager never does. A session carries the lease of everything taken, so losing it
//! loses all of it: what was open comes back with the next hello, and what is on disk by then is settled
//! at once.

mod checks;
mod credentials;
mod lot;
mod lot_records;
mod questions;
mod session;
mod taken_lots;
#[cfg(test)]
mod tests;

use std::time::Duration;

use process::{Latch, Running};
use rand::Rng as _;
use store::Store;
use tracing::{info, warn};
use wire::{CallError, Hello, ManagerClient, Role, Side};

use crate::delivery::Delivery;
use crate::fetch::Fetches;
use crate::membership::Membership;
use crate::metrics::PeerMetrics;
use crate::neighbours::Neighbours;
use crate::pulls::RecentPulls;
use crate::records::Records;

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A peer that was removed, or whose certificate does not hold, need not ask often.
const REFUSED_PAUSE: Duration = Duration::from_secs(60);

/// Everything that carrying out orders may use.
#[derive(Clone)]
pub(crate) struct Orders {
    pub(crate) manager: ManagerClient,
    pub(crate) me: Me,
    pub(crate) store: Store,
    pub(crate) records: Records,
    pub(crate) fetches: Fetches,
    pub(crate) delivery: Delivery,
    pub(crate) neighbours: Neighbours,
    pub(crate) membership: Membership,
    pub(crate) pulls: RecentPulls,
    pub(crate) metrics: PeerMetrics,
}

/// What this peer says of itself.
#[derive(Clone)]
pub(crate) struct Me {
    pub(crate) name: String,
    pub(crate) cluster: String,
    pub(crate) role: Role,
    pub(crate) advertise: Option<String>,
    pub(crate) share_port: u16,
}

impl Me {
    /// Where other peers reach `share`; a `*` for the host when only they can tell.
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

/// Holds one session after the other until the process stops. `first_contact` is dropped once the manager
/// has answered, or found to be away: pulls need no manager, so a peer is ready without one.
pub(crate) async fn follow_orders(orders: Orders, running: Running, first_contact: Latch) {
    let mut latch = Some(first_contact);
    let mut pause = FIRST_PAUSE;
    loop {
        let events = orders.store.watch();
        let hello = orders.manager.hello(&orders.hello()).await;
        latch.take();
        match hello {
            Ok(welcome) => {
                pause = FIRST_PAUSE;
                orders.neighbours.welcome(&welcome);
                orders.membership.learn_removals(welcome.removals.clone());
                let up = orders.metrics.session_begins();
                info!(
                    stoker.session = %welcome.session,
                    stoker.peer = orders.me.name,
                    stoker.cluster = orders.me.cluster,
                    "the manager knows this peer"
                );
                let ended = session::hold(&orders, &welcome, events, &running).await;
                drop(up);
                info!(stoker.session = %welcome.session, because = ended, "session ended");
            }
            Err(error) => {
                tell(&error);
                let longest = if matches!(error, CallError::Refused(_)) {
                    REFUSED_PAUSE
                } else {
                    LONGEST_PAUSE
                };
                pause = (pause * 2).min(longest);
            }
        }
        let stopped = running
            .stopping()
            .run_until_cancelled(tokio::time::sleep(jittered(pause)))
            .await
            .is_none();
        if stopped {
            return;
        }
    }
}

impl Orders {
    fn hello(&self) -> Hello {
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

fn tell(error: &CallError) {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    let side = match error {
        CallError::Unreachable(_) => Side::Network,
        CallError::Refused(_) => Side::Peer,
        _ => Side::Manager,
    };
    warn!(
        stoker.side = side.word(),
        %error,
        cause,
        "no session with the manager; pulls go on with what this peer knows"
    );
}

/// Peers that lost the same manager do not come back in the same moment.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(rand::rng().random_range(0.5..1.0))
}
