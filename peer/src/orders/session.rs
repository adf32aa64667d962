//! One session: takes lots, reports progress and holdings, settles. It ends when the manager ends it, or when the manager
//! has not answered during the time of the lease.

use std::time::Duration;

use process::Running;
use store::StoreEvent;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tracing::{debug, warn};
use uuid::Uuid;
use wire::{CallError, Lot, RegistryWidth, SettleRequest, Settlement, TakeRequest, TakeResponse, Welcome};

use super::context::OrdersContext;
use super::lot::work_on;
use super::questions::QuestionTasks;
use super::taken_lots::TakenLots;
use crate::announce::announce;

/// Lots that a peer works on at the same time.
const LOTS: usize = 16;
const POLL_WAIT: Duration = Duration::from_secs(15);
const PROGRESS_EVERY: Duration = Duration::from_secs(2);
const SETTLE_AT_MOST: usize = 500;
/// Registries in one progress report.
const WIDTHS_AT_MOST: usize = 64;
/// The size of the queue of outcomes to settle. Lots wait while the queue is full.
const OUTCOMES: usize = 2_048;
const RETRY: Duration = Duration::from_millis(500);

/// Returns why the session ended.
pub(super) async fn hold(
    orders: &OrdersContext,
    welcome: &Welcome,
    events: broadcast::Receiver<StoreEvent>,
    running: &Running,
) -> &'static str {
    let session = welcome.session;
    let taken = TakenLots::default();
    let (outcomes, settling) = mpsc::channel(OUTCOMES);
    let (alive, answered) = watch::channel(Instant::now());
    let lease = Duration::from_millis(welcome.lease_ms.max(1_000));
    let stopping = running.stopping();
    // The dropped futures cancel their lots. Fetches continue, and the next session joins them.
    tokio::select! {
        why = take_work(orders, session, &taken, outcomes, &alive) => why,
        why = report_progress(orders, session, &taken, lease, &alive) => why,
        why = settle(orders, session, &taken, settling, &alive) => why,
        () = announce(orders.manager.clone(), session, orders.store.clone(), events, welcome.send_full_holdings) => "the announcements ended",
        () = lease_runs_out(answered, lease) => "the lease ran out: the manager did not answer",
        () = stopping.cancelled() => "this peer is stopping",
    }
}

async fn take_work(
    orders: &OrdersContext,
    session: Uuid,
    taken: &TakenLots,
    outcomes: mpsc::Sender<Settlement>,
    alive: &watch::Sender<Instant>,
) -> &'static str {
    let mut lots = JoinSet::new();
    let mut answering = QuestionTasks::new();
    loop {
        while lots.try_join_next().is_some() {}
        let room = LOTS.saturating_sub(lots.len());
        // Without room a peer asks for no lots, and still receives questions.
        let taken_work = tokio::select! {
            answer = ask_for_work(orders, session, room, taken) => answer,
            Some(_) = lots.join_next(), if room == 0 => continue,
        };
        match taken_work {
            Ok(answer) => {
                alive.send_replace(Instant::now());
                stop(orders, taken, answer.withdrawn);
                if let Some(neighbourhood) = answer.neighbourhood {
                    orders.neighbours.learn(neighbourhood);
                }
                if let Some(removals) = answer.removals {
                    orders.membership.learn_removals(removals);
                }
                if let Some(images) = answer.images {
                    orders.store.learn_image_rules(images).await;
                }
                for question in answer.questions {
                    answering.take(orders, session, question);
                }
                for lot in answer.lots {
                    start(orders, session, taken, &outcomes, &mut lots, lot);
                }
            }
            Err(CallError::SessionEnded) => return "the manager ended the session",
            Err(CallError::Refused(_)) => return "the manager refused the peer",
            Err(error) => {
                debug!(%error, "work could not be taken");
                sleep(RETRY).await;
            }
        }
    }
}

async fn ask_for_work(
    orders: &OrdersContext,
    session: Uuid,
    room: usize,
    taken: &TakenLots,
) -> Result<TakeResponse, CallError> {
    let request = TakeRequest {
        at_most: u32::try_from(room).unwrap_or(1),
        wait_ms: u64::try_from(POLL_WAIT.as_millis()).unwrap_or(u64::MAX),
        neighbourhood_version: orders.neighbours.version(),
        working_on: taken.working_on(),
        images: Some(orders.store.known_image_rules()),
        removals: orders.membership.removals_known(),
    };
    orders.manager.take(session, &request).await
}

fn start(
    orders: &OrdersContext,
    session: Uuid,
    taken: &TakenLots,
    outcomes: &mpsc::Sender<Settlement>,
    lots: &mut JoinSet<()>,
    lot: Lot,
) {
    let work = lot.work;
    if !taken.begin(&lot) {
        return;
    }
    let handle = lots.spawn(work_on(
        orders.clone(),
        session,
        lot,
        taken.clone(),
        outcomes.clone(),
    ));
    taken.runs_as(work, handle);
}

/// Stops lots that the session no longer holds, and their fetches if nothing else follows them. Landed bytes stay.
fn stop(orders: &OrdersContext, taken: &TakenLots, withdrawn: Vec<i64>) {
    for work in withdrawn {
        if let Some(stopped) = taken.withdraw(work) {
            orders.fetches.stop_after(stopped.task, stopped.digests);
        }
    }
}

/// What the registries allow that refused this peer by count.
fn widths(orders: &OrdersContext) -> Vec<RegistryWidth> {
    let widths = orders.neighbours.registries().widths().into_iter();
    let widths = widths.take(WIDTHS_AT_MOST);
    widths
        .map(|(registry, at_once)| RegistryWidth {
            registry: registry.to_string(),
            at_once,
        })
        .collect()
}

async fn report_progress(
    orders: &OrdersContext,
    session: Uuid,
    taken: &TakenLots,
    lease: Duration,
    alive: &watch::Sender<Instant>,
) -> &'static str {
    loop {
        let pause = if taken.is_empty() {
            lease / 3
        } else {
            PROGRESS_EVERY.min(lease / 3)
        };
        sleep(pause).await;
        let mut report = taken.report();
        report.removals = orders.membership.removals_known();
        report.widths = widths(orders);
        match orders.manager.progress(session, &report).await {
            Ok(answer) => {
                alive.send_replace(Instant::now());
                if let Some(removals) = answer.removals {
                    orders.membership.learn_removals(removals);
                }
                stop(orders, taken, answer.withdrawn);
            }
            Err(CallError::SessionEnded) => return "the manager ended the session",
            Err(error) => debug!(%error, "progress could not be reported"),
        }
    }
}

/// Repeats settlements until they are acknowledged; a repeated one changes nothing.
async fn settle(
    orders: &OrdersContext,
    session: Uuid,
    taken: &TakenLots,
    mut outcomes: mpsc::Receiver<Settlement>,
    alive: &watch::Sender<Instant>,
) -> &'static str {
    let mut settled = Vec::new();
    while outcomes.recv_many(&mut settled, SETTLE_AT_MOST).await > 0 {
        let request = SettleRequest {
            settled: std::mem::take(&mut settled),
        };
        loop {
            match orders.manager.settle(session, &request).await {
                Ok(answer) => {
                    alive.send_replace(Instant::now());
                    request
                        .settled
                        .iter()
                        .for_each(|settled| taken.acknowledged(settled.work));
                    stop(orders, taken, answer.stale);
                    break;
                }
                Err(CallError::SessionEnded) => return "the manager ended the session",
                Err(error) => {
                    let outcomes = request.settled.len();
                    warn!(stoker.side = "manager", %error, outcomes, "settlements not acknowledged yet");
                    sleep(RETRY).await;
                }
            }
        }
    }
    "no more work can be settled"
}

async fn lease_runs_out(mut answered: watch::Receiver<Instant>, lease: Duration) {
    loop {
        let ends = *answered.borrow_and_update() + lease;
        tokio::select! {
            () = tokio::time::sleep_until(ends) => return,
            _ = answered.changed() => {}
        }
    }
}
