//! The peer's work for the manager: sessions, lots, progress, settlements.
//!
//! Every request comes from the peer. A session carries the lease of all lots that were taken: when it ends, the
//! manager hands open lots out again after the next hello. Objects that are then on disk are settled at once.

mod checks;
mod context;
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
use tracing::{info, warn};
use wire::{CallError, Side};

pub(crate) use context::{OrdersContext, OwnDescription};

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Pause between requests of a peer that was removed or has no valid certificate.
const REFUSED_PAUSE: Duration = Duration::from_secs(60);

/// Holds one session after another until the process stops. `first_contact` is dropped once the manager has answered or
/// was found unreachable: pulls need no manager, so a peer is ready without it.
pub(crate) async fn follow_orders(orders: OrdersContext, running: Running, first_contact: Latch) {
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
                    "session started"
                );
                let ended = session::hold(&orders, &welcome, events, &running).await;
                drop(up);
                info!(stoker.session = %welcome.session, because = ended, "session ended");
            }
            Err(error) => {
                log(&error);
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

fn log(error: &CallError) {
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
        "no session with the manager; pulls continue"
    );
}

/// Spreads the requests of peers that lost the same manager.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(rand::rng().random_range(0.5..1.0))
}
