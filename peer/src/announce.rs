//! Tells the manager what the store gained and lost, in batches.
//!
//! AnnounceBatch flows one way: the store says what happened, this tells it. Fetching knows nothing of announcing.

use std::time::Duration;

use store::{Store, StoreEvent};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::timeout;
use tracing::debug;
use uuid::Uuid;
use wire::{CallError, Held, HoldingsReport, ManagerClient};

/// Objects told in one call.
const BATCH: usize = 1_000;
/// AnnounceBatch waits this long for more news.
const GATHER: Duration = Duration::from_millis(500);
const RETRY: Duration = Duration::from_secs(5);

/// Runs for one session; ends when the session does. `events` were subscribed to before the hello, so that
/// nothing falls between the list that the hello spoke of and the first event.
pub(crate) async fn announce(
    manager: ManagerClient,
    session: Uuid,
    store: Store,
    mut events: Receiver<StoreEvent>,
    full_first: bool,
) {
    let mut send_all = full_first;
    loop {
        let told = if send_all {
            tell_all(&manager, session, &store).await
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
        match told {
            Ok(()) => send_all = false,
            Err(CallError::SessionEnded) => return,
            Err(error) => {
                // What was lost on the way is in the full list.
                debug!(%error, "holdings not told, the full list follows");
                send_all = true;
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

async fn tell_all(manager: &ManagerClient, session: Uuid, store: &Store) -> Result<(), CallError> {
    let held = store.held();
    let mut starts_full_list = true;
    let mut parts = held.chunks(BATCH);
    loop {
        let gained = parts.next().map(<[Held]>::to_vec).unwrap_or_default();
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
    /// More happened than the channel holds.
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

/// The last word on a digest holds.
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
