//! The workers of a lane.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use queue::{
    Backoff, Bell, Claimed, Failure, NewWork, Perform, TestClock, Urgency, Workers, WorkersSettings,
};
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::world::{LANE, NOW, World, until, within_reason, work};

type Deed = Box<dyn Fn() -> Result<(), Failure> + Send>;

/// Follows a script, one step for each attempt, and succeeds when the script is over.
#[derive(Default)]
struct Script {
    deeds: Mutex<VecDeque<Deed>>,
    started: AtomicUsize,
    given_up: Mutex<Vec<String>>,
    /// Work of this kind waits for a permit.
    gate: Option<Semaphore>,
}

#[async_trait]
impl Perform for Script {
    async fn perform(&self, claimed: &Claimed) -> Result<(), Failure> {
        self.started.fetch_add(1, Ordering::SeqCst);
        if let (Some(gate), "gated") = (&self.gate, claimed.kind.as_str()) {
            gate.acquire().await.unwrap().forget();
        }
        let deed = self.deeds.lock().pop_front();
        deed.map_or(Ok(()), |deed| deed())
    }

    async fn gave_up(&self, claimed: &Claimed, reason: &str) -> Result<(), Failure> {
        self.given_up
            .lock()
            .push(format!("{} {}: {reason}", claimed.kind, claimed.attempt));
        Ok(())
    }
}

impl Script {
    fn of(deeds: Vec<Deed>) -> Self {
        Self {
            deeds: Mutex::new(deeds.into()),
            ..Self::default()
        }
    }

    fn gated() -> Self {
        Self {
            gate: Some(Semaphore::new(0)),
            ..Self::default()
        }
    }

    fn started(&self) -> usize {
        self.started.load(Ordering::SeqCst)
    }
}

struct Lane {
    world: World,
    script: Arc<Script>,
    clock: Arc<TestClock>,
    bell: Bell,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

fn settings() -> WorkersSettings {
    WorkersSettings {
        performers: 3,
        max_attempts: 3,
        poll: Duration::from_millis(10),
        lease: Duration::from_millis(60),
        grace: Duration::from_secs(20),
        backoff: Backoff {
            first: Duration::ZERO,
            most: Duration::ZERO,
        },
        ..WorkersSettings::of_lane(LANE)
    }
}

impl Lane {
    async fn start(script: Script, settings: WorkersSettings) -> Self {
        let world = World::new().await;
        let (script, clock) = (Arc::new(script), Arc::new(TestClock::at(NOW)));
        let (bell, stop, mut tasks) = (Bell::default(), CancellationToken::new(), JoinSet::new());
        let perform: Arc<dyn Perform> = script.clone();
        let workers = Workers::new(settings, world.db.clone(), clock.clone(), bell.clone(), perform);
        tasks.spawn(workers.run(stop.clone()));
        Self {
            world,
            script,
            clock,
            bell,
            stop,
            tasks,
        }
    }

    async fn is_idle(&self) -> bool {
        queue::work_of_group(self.world.db.reads(), "group")
            .await
            .unwrap()
            .is_empty()
    }

    async fn enqueue(&self, kind: &str) -> i64 {
        let id = self
            .world
            .enqueue(NewWork {
                group: Some("group".to_owned()),
                ..work(kind)
            })
            .await;
        self.bell.ring(LANE);
        id
    }

    async fn drain(&mut self) {
        self.stop.cancel();
        within_reason(self.tasks.join_next()).await.unwrap().unwrap();
    }

    async fn leases(&self) -> Vec<(String, i64)> {
        let backend: DbBackend = self.world.db.reads().get_database_backend();
        let asked = Statement::from_string(backend, "SELECT id, lease_until_ms FROM holders");
        let rows = self.world.db.reads().query_all_raw(asked).await.unwrap();
        rows.iter()
            .map(|row| (row.try_get_by_index(0).unwrap(), row.try_get_by_index(1).unwrap()))
            .collect()
    }
}

fn deed(failure: Failure) -> Deed {
    Box::new(move || Err(failure.clone()))
}

#[tokio::test]
async fn all_work_of_the_lane_is_performed_once_and_leaves_no_row() {
    let mut lane = Lane::start(Script::default(), settings()).await;
    for _ in 0..20 {
        lane.enqueue("resolve").await;
    }
    until(async || lane.is_idle().await).await;
    lane.drain().await;
    assert_eq!(lane.script.started(), 20);
    assert!(
        lane.leases().await.is_empty(),
        "who goes home leaves no lease behind"
    );
}

#[tokio::test]
async fn a_ring_wakes_the_workers_before_the_next_poll() {
    let lane = Lane::start(
        Script::default(),
        WorkersSettings {
            poll: Duration::from_secs(3600),
            ..settings()
        },
    )
    .await;
    until(async || lane.leases().await.len() == 1).await;
    lane.enqueue("resolve").await;
    until(async || {
        lane.bell.ring(LANE);
        lane.is_idle().await
    })
    .await;
}

#[tokio::test]
async fn a_panic_fails_one_work_item_which_is_retried() {
    let panic: Deed = Box::new(|| panic!("on purpose"));
    let lane = Lane::start(Script::of(vec![panic]), settings()).await;
    lane.enqueue("resolve").await;
    until(async || lane.is_idle().await).await;
    assert_eq!(lane.script.started(), 2);
    assert!(lane.script.given_up.lock().is_empty());
}

#[tokio::test]
async fn work_that_keeps_failing_is_given_up_after_its_attempts() {
    let fail = || deed(Failure::Retry("silent".to_owned()));
    let lane = Lane::start(Script::of(vec![fail(), fail(), fail(), fail()]), settings()).await;
    lane.enqueue("resolve").await;
    until(async || lane.is_idle().await).await;
    assert_eq!(*lane.script.given_up.lock(), ["resolve 3: silent"]);
    assert_eq!(lane.script.started(), 3);
}

#[tokio::test]
async fn a_permanent_failure_is_given_up_at_once() {
    let lane = Lane::start(
        Script::of(vec![deed(Failure::GiveUp("not found".to_owned()))]),
        settings(),
    )
    .await;
    lane.enqueue("resolve").await;
    until(async || lane.is_idle().await).await;
    assert_eq!(*lane.script.given_up.lock(), ["resolve 1: not found"]);
}

#[tokio::test]
async fn work_that_came_too_early_waits_and_its_attempt_does_not_count() {
    let later = || deed(Failure::Later(Duration::from_millis(500)));
    let lane = Lane::start(Script::of((0..5).map(|_| later()).collect()), settings()).await;
    let id = lane.enqueue("resolve").await;
    for times in 1..=5 {
        until(async || {
            lane.world
                .work(id)
                .await
                .is_some_and(|work| !work.is_running && work.run_at_ms == NOW + 500 * times)
        })
        .await;
        assert_eq!(
            lane.script.started(),
            usize::try_from(times).unwrap(),
            "not before its time"
        );
        lane.clock.advance(500);
    }
    until(async || lane.is_idle().await).await;
    assert!(lane.script.given_up.lock().is_empty());
}

#[tokio::test]
async fn a_registry_that_names_a_time_is_not_asked_before_it() {
    let busy = deed(Failure::RetryAfter("busy".to_owned(), Duration::from_secs(7)));
    let lane = Lane::start(Script::of(vec![busy]), settings()).await;
    let id = lane.enqueue("resolve").await;
    until(async || {
        lane.world
            .work(id)
            .await
            .is_some_and(|work| work.run_at_ms == NOW + 7000)
    })
    .await;
    let waiting = lane.world.work(id).await.unwrap();
    assert_eq!(
        (waiting.last_error.as_deref(), waiting.attempt),
        (Some("busy"), 1)
    );
}

#[tokio::test]
async fn no_more_work_runs_at_once_than_there_are_performers() {
    let mut lane = Lane::start(Script::gated(), settings()).await;
    for _ in 0..5 {
        lane.enqueue("gated").await;
    }
    until(async || lane.script.started() == 3).await;
    let holder = lane.leases().await[0].0.parse().unwrap();
    assert_eq!(
        queue::held_by(lane.world.db.reads(), holder).await.unwrap().len(),
        3
    );
    lane.script.gate.as_ref().unwrap().add_permits(5);
    until(async || lane.is_idle().await).await;
    lane.drain().await;
    assert_eq!(lane.script.started(), 5);
}

#[tokio::test]
async fn a_lease_is_renewed_while_work_runs() {
    let lane = Lane::start(Script::gated(), settings()).await;
    lane.enqueue("gated").await;
    until(async || lane.script.started() == 1).await;
    lane.clock.advance(50);
    until(async || {
        lane.leases()
            .await
            .iter()
            .all(|(_, until_ms)| *until_ms == NOW + 110)
    })
    .await;
    assert!(lane.world.reclaim(NOW + 109).await.is_empty());
}

#[tokio::test]
async fn workers_that_lose_their_lease_stop_and_register_again() {
    let lane = Lane::start(Script::gated(), settings()).await;
    let id = lane.enqueue("gated").await;
    until(async || lane.script.started() == 1).await;
    let lost = lane.world.work(id).await.unwrap().holder.unwrap();
    lane.world
        .db
        .write(Urgency::Urgent, move |txn| Box::pin(queue::end_holder(txn, lost)))
        .await
        .unwrap();
    until(async || lane.script.started() == 2).await;
    assert_ne!(lane.world.work(id).await.unwrap().holder, Some(lost));
    lane.script.gate.as_ref().unwrap().add_permits(1);
    until(async || lane.is_idle().await).await;
}

#[tokio::test]
async fn draining_finishes_running_work_and_claims_no_more() {
    let mut lane = Lane::start(
        Script::gated(),
        WorkersSettings {
            performers: 1,
            ..settings()
        },
    )
    .await;
    let (running, waiting) = (lane.enqueue("gated").await, lane.enqueue("resolve").await);
    until(async || lane.script.started() == 1).await;
    lane.stop.cancel();
    lane.script.gate.as_ref().unwrap().add_permits(1);
    lane.drain().await;
    assert!(lane.world.work(running).await.is_none());
    assert_eq!(lane.world.work(waiting).await.unwrap().attempt, 0);
}

#[tokio::test]
async fn work_that_does_not_end_within_the_grace_period_is_returned() {
    let mut lane = Lane::start(
        Script::gated(),
        WorkersSettings {
            grace: Duration::from_millis(20),
            ..settings()
        },
    )
    .await;
    let id = lane.enqueue("gated").await;
    until(async || lane.script.started() == 1).await;
    lane.drain().await;
    let back = lane.world.work(id).await.unwrap();
    assert_eq!((back.is_running, back.holder), (false, None));
    assert!(lane.leases().await.is_empty());
}
