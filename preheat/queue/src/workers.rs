//! Performs the work items of one lane, several at a time, under one lease.
//!
//! Workers listen to the bell, then claim, and poll as a fallback. Draining claims nothing new, waits for running items,
//! and after the grace period returns the rest by ending the holder.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::backoff::Backoff;
use crate::bell::{Bell, BellListener};
use crate::claim::{ClaimError, Claimed, claim};
use crate::clock::Clock;
use crate::database::Database;
use crate::entry::WriteError;
use crate::holder::{HolderId, end_holder, register_holder, renew};
use crate::performer::{Perform, Performer};
use crate::work::{held_by, release};
use crate::writer::Urgency;

/// Settings of the workers of a lane.
#[derive(Clone, Debug)]
pub struct WorkersSettings {
    pub lane: String,
    /// Work items performed at a time.
    pub performers: usize,
    /// Work items of a dead process become claimable after this.
    pub lease: Duration,
    /// How often to claim without a ring.
    pub poll: Duration,
    /// How long running work items may take to end when draining.
    pub grace: Duration,
    pub max_attempts: i32,
    pub backoff: Backoff,
    /// The kind of the registered holder.
    pub holder_kind: String,
}

impl WorkersSettings {
    pub fn of_lane(lane: &str) -> Self {
        Self {
            lane: lane.to_owned(),
            performers: 8,
            lease: Duration::from_secs(30),
            poll: Duration::from_secs(1),
            grace: Duration::from_secs(10),
            max_attempts: 10,
            backoff: Backoff::default(),
            holder_kind: "manager".to_owned(),
        }
    }
}

/// The workers of one lane; [`Workers::run`] is their task.
pub struct Workers {
    settings: WorkersSettings,
    db: Database,
    clock: Arc<dyn Clock>,
    bell: Bell,
    perform: Arc<dyn Perform>,
}

impl Workers {
    pub fn new(
        settings: WorkersSettings,
        db: Database,
        clock: Arc<dyn Clock>,
        bell: Bell,
        perform: Arc<dyn Perform>,
    ) -> Self {
        Self {
            settings,
            db,
            clock,
            bell,
            perform,
        }
    }

    /// Performs work until the token is cancelled, then drains.
    pub async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let Some(holder) = self.register(&stop).await else {
                return;
            };
            let mut shift = Shift::new(&self, holder);
            tokio::select! {
                biased;
                () = shift.work_and_drain(&stop) => {}
                // Others may have claimed our items: running ones are stopped, their settlement would have no effect.
                () = self.keep_lease(holder) => tracing::warn!(%holder, "lease lost, registering again"),
            }
            drop(shift);
            self.end(holder).await;
        }
    }

    async fn register(&self, stop: &CancellationToken) -> Option<HolderId> {
        let holder = Uuid::now_v7();
        for attempt in 1.. {
            let (kind, until_ms) = (self.settings.holder_kind.clone(), self.lease_end());
            let registered = self.db.write(Urgency::Urgent, move |txn| {
                Box::pin(async move { register_holder(txn, holder, &kind, until_ms).await })
            });
            let Err(error) = registered.await else {
                return Some(holder);
            };
            if matches!(error, WriteError::Closed) {
                return None;
            }
            tracing::warn!(%error, lane = self.settings.lane, "workers not registered, retrying");
            let pause = self.settings.backoff.drawn(attempt);
            tokio::select! {
                () = stop.cancelled() => return None,
                () = tokio::time::sleep(pause) => {}
            }
        }
        None
    }

    /// Completes when the lease is lost.
    async fn keep_lease(&self, holder: HolderId) {
        loop {
            tokio::time::sleep(self.settings.lease / 3).await;
            let until_ms = self.lease_end();
            let renewed = self
                .db
                .write(Urgency::Urgent, move |txn| Box::pin(renew(txn, holder, until_ms)))
                .await;
            match renewed {
                Ok(true) => {}
                Ok(false) | Err(WriteError::Closed) => return,
                Err(error) => tracing::warn!(%holder, %error, "lease not renewed, retrying"),
            }
        }
    }

    fn lease_end(&self) -> i64 {
        let lease = i64::try_from(self.settings.lease.as_millis()).unwrap_or(i64::MAX);
        self.clock.now_ms().saturating_add(lease)
    }

    async fn end(&self, holder: HolderId) {
        let ended = self
            .db
            .write(Urgency::Urgent, move |txn| Box::pin(end_holder(txn, holder)))
            .await;
        match ended {
            Ok(0) => {}
            Ok(given_back) => {
                self.bell.ring(&self.settings.lane);
                tracing::info!(%holder, given_back, "unfinished work items returned");
            }
            Err(error) => {
                tracing::warn!(%holder, %error, "unfinished work items return when the lease expires");
            }
        }
    }
}

/// The workers under one lease.
struct Shift<'a> {
    workers: &'a Workers,
    holder: HolderId,
    performer: Arc<Performer>,
    running: JoinSet<()>,
    work_of_task: Vec<(Id, i64)>,
    /// A claim failed, so work items may be claimed for these workers and not performed.
    is_unsure: bool,
}

impl<'a> Shift<'a> {
    fn new(workers: &'a Workers, holder: HolderId) -> Self {
        let performer = Performer {
            db: workers.db.clone(),
            clock: Arc::clone(&workers.clock),
            perform: Arc::clone(&workers.perform),
            backoff: workers.settings.backoff,
            max_attempts: workers.settings.max_attempts,
        };
        let (running, work_of_task) = (JoinSet::new(), Vec::new());
        Self {
            workers,
            holder,
            performer: Arc::new(performer),
            running,
            work_of_task,
            is_unsure: false,
        }
    }

    async fn work_and_drain(&mut self, stop: &CancellationToken) {
        self.work(stop).await;
        self.drain().await;
    }

    async fn work(&mut self, stop: &CancellationToken) {
        let mut bell = self.workers.bell.listen(&self.workers.settings.lane);
        while !stop.is_cancelled() {
            self.forget_ended();
            let room = self
                .workers
                .settings
                .performers
                .saturating_sub(self.running.len());
            if room > 0 {
                for claimed in self.claim(room).await {
                    self.start(claimed);
                }
            }
            self.wait(&mut bell, stop).await;
        }
    }

    async fn claim(&mut self, room: usize) -> Vec<Claimed> {
        if self.is_unsure {
            self.is_unsure = self.give_strays_back().await.is_err();
        }
        let workers = self.workers;
        workers.db.give_way().await;
        let claimed = claim(
            &workers.db,
            &workers.settings.lane,
            self.holder,
            room,
            workers.clock.now_ms(),
        )
        .await;
        claimed.unwrap_or_else(|error| {
            let lease_ended = matches!(error, WriteError::Refused(ClaimError::HolderEnded));
            self.is_unsure |= !lease_ended;
            tracing::warn!(%error, lane = workers.settings.lane, "claim failed");
            Vec::new()
        })
    }

    fn start(&mut self, claimed: Claimed) {
        let (performer, work) = (Arc::clone(&self.performer), claimed.id);
        let task = self.running.spawn(async move { performer.run(claimed).await });
        self.work_of_task.push((task.id(), work));
    }

    fn forget_ended(&mut self) {
        while let Some(ended) = self.running.try_join_next_with_id() {
            self.forget(ended);
        }
    }

    fn forget(&mut self, ended: Result<(Id, ()), tokio::task::JoinError>) {
        let ended = ended.map_or_else(|error| error.id(), |(id, ())| id);
        self.work_of_task.retain(|(id, _)| *id != ended);
    }

    async fn wait(&mut self, bell: &mut BellListener, stop: &CancellationToken) {
        let poll = Instant::now() + self.workers.settings.poll;
        let is_full = self.running.len() >= self.workers.settings.performers;
        tokio::select! {
            () = stop.cancelled() => {}
            Some(ended) = self.running.join_next_with_id() => self.forget(ended),
            () = bell.rung(), if !is_full => {}
            () = sleep_until(poll), if !is_full => {}
        }
    }

    /// Returns claimed items that are not performed: the result of a claim can be lost although it was committed.
    async fn give_strays_back(&self) -> Result<(), WriteError<sea_orm::DbErr>> {
        let (holder, now_ms) = (self.holder, self.workers.clock.now_ms());
        let known: Vec<i64> = self.work_of_task.iter().map(|(_, work)| *work).collect();
        self.workers
            .db
            .write(Urgency::Background, move |txn| {
                Box::pin(async move {
                    for stray in held_by(txn, holder)
                        .await?
                        .iter()
                        .filter(|work| !known.contains(&work.id))
                    {
                        release(txn, stray.id, stray.fence, holder, now_ms).await?;
                    }
                    Ok(())
                })
            })
            .await
    }

    /// Waits for running work items during the grace period.
    async fn drain(&mut self) {
        let all_ended = async { while self.running.join_next().await.is_some() {} };
        if timeout(self.workers.settings.grace, all_ended).await.is_err() {
            tracing::warn!(
                unfinished = self.running.len(),
                "grace period over, returning unfinished work items"
            );
            self.running.shutdown().await;
        }
    }
}
