//! Reports to the manager what the store gained and lost, in batches.
//!
//! Events flow one way: from the store through here to the manager. Fetching knows nothing of this.

use std::time::Duration;

use store::{Store, StoreEvent};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::timeout;
use tracing::debug;
use uuid::Uuid;
use wire::{CallError, Holding, HoldingsReport, ManagerClient};

/// Objects in one report.
const BATCH: usize = 1_000;
/// A report waits this long for more events.
const GATHER: Duration = Duration::from_millis(500);
const RETRY: Duration = Duration::from_secs(5);

/// Runs until the session ends. `events` were subscribed to before the hello, so that no event is lost between
/// the list in the hello and the first report.
pub(crate) async fn announce(
    manager: ManagerClient,
    session: Uuid,
    store: Store,
    mut events: Receiver<StoreEvent>,
    full_first: bool,
) {
    let mut send_all = full_first;
    loop {
        let reported = if send_all {
            report_all(&manager, session, &store).await
        } else {
            match gather(&mut events).await {
                AnnounceBatch::Batch(report) => manager.holdings(session, &report).await,
                AnnounceBatch::Missed => {
                    send_all = true;
                    continue;
                }
                AnnounceBatch::Over => return,
            }
        };
        match reported {
            Ok(()) => send_all = false,
            Err(CallError::SessionEnded) => return,
            Err(error) => {
                // The full list contains what was lost on the way.
                debug!(%error, "holdings not reported, the full list follows");
                send_all = true;
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

async fn report_all(manager: &ManagerClient, session: Uuid, store: &Store) -> Result<(), CallError> {
    let held = store.held();
    let mut starts_full_list = true;
    let mut parts = held.chunks(BATCH);
    loop {
        let gained = parts.next().map(<[Holding]>::to_vec).unwrap_or_default();
        if gained.is_empty() && !starts_full_list {
            return Ok(());
        }
        manager
            .holdings(
                session,
                &HoldingsReport {
                    starts_full_list,
                    gained,
                    lost: Vec::new(),
                },
            )
            .await?;
        starts_full_list = false;
    }
}

enum AnnounceBatch {
    Batch(HoldingsReport),
    /// The channel overflowed.
    Missed,
    Over,
}

async fn gather(events: &mut Receiver<StoreEvent>) -> AnnounceBatch {
    let mut report = HoldingsReport::default();
    match events.recv().await {
        Ok(event) => note(&mut report, event),
        Err(RecvError::Lagged(_)) => return AnnounceBatch::Missed,
        Err(RecvError::Closed) => return AnnounceBatch::Over,
    }
    while report.gained.len() + report.lost.len() < BATCH {
        match timeout(GATHER, events.recv()).await {
            Ok(Ok(event)) => note(&mut report, event),
            Ok(Err(RecvError::Lagged(_))) => return AnnounceBatch::Missed,
            Ok(Err(RecvError::Closed)) | Err(_) => break,
        }
    }
    AnnounceBatch::Batch(report)
}

/// The last event of a digest counts.
fn note(report: &mut HoldingsReport, event: StoreEvent) {
    match event {
        StoreEvent::Gained(held) => {
            report.lost.retain(|digest| *digest != held.digest);
            report.gained.push(held);
        }
        StoreEvent::Lost(digest) => {
            let digest = digest.to_string();
            report.gained.retain(|held| held.digest != digest);
            report.lost.push(digest);
        }
    }
}
