//! The manager's own tasks: workers for its lane, the round of deadlines every second, the spot checks of seeds, and
//! the counting of rows.

use std::sync::Arc;
use std::time::Duration;

use queue::{Backoff, Urgency, Workers, WorkersSettings, grant_all};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::counting::COUNT_EVERY;
use super::{counting, deadlines};
use crate::engine::preheater::{Inner, Preheater};
use crate::engine::work::{MANAGER_LANE, WEBHOOK_LANE};
use crate::model::errors::StorageError;
use crate::model::limits::milliseconds;
use crate::model::spot_check::SpotCheckVerdict;
use crate::peers::sessions::SESSION;
use crate::resolve::work::ManagerWork;
use crate::spot_checks::check;
use crate::spot_checks::draw::Draw;
use crate::tell::notices::DeliverNotices;

const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// Notices that are delivered at the same time.
const NOTICE_WORKERS: usize = 8;

/// The tasks that run for a [`Preheater`].
pub struct Background(JoinSet<()>);

impl Background {
    /// Waits until every task has ended; they do once their token is cancelled.
    pub async fn drain(mut self) {
        while self.0.join_next().await.is_some() {}
    }
}

impl Preheater {
    /// Starts the tasks; they end when the token is cancelled.
    pub fn start_workers(&self, stop: CancellationToken) -> Background {
        let mut tasks = JoinSet::new();
        let inner = &self.inner;
        let settings = WorkersSettings {
            performers: inner.limits.resolvers,
            lease: inner.limits.session_lease,
            max_attempts: i32::try_from(inner.limits.resolve_attempts).unwrap_or(i32::MAX),
            ..WorkersSettings::of_lane(MANAGER_LANE)
        };
        let perform = Arc::new(ManagerWork(Arc::clone(inner)));
        let workers = Workers::new(
            settings,
            inner.db.clone(),
            Arc::clone(&inner.clock),
            inner.bell.clone(),
            perform,
        );
        tasks.spawn(workers.run(stop.clone()));
        if !inner.webhooks.receivers.is_empty() {
            tasks.spawn(self.notice_workers().run(stop.clone()));
        }
        if let Some(every) = inner.limits.spot_check_every {
            tasks.spawn(check_until(Arc::clone(inner), every, stop.clone()));
        }
        tasks.spawn(count_until(Arc::clone(inner), stop.clone()));
        tasks.spawn(sweep_until(Arc::clone(inner), stop));
        Background(tasks)
    }

    /// A notice that is not accepted is sent again after ten minutes at most, for a day.
    fn notice_workers(&self) -> Workers {
        let inner = &self.inner;
        let settings = WorkersSettings {
            performers: NOTICE_WORKERS,
            lease: inner.limits.session_lease,
            max_attempts: i32::MAX,
            backoff: Backoff {
                first: Duration::from_secs(1),
                most: Duration::from_secs(600),
            },
            ..WorkersSettings::of_lane(WEBHOOK_LANE)
        };
        Workers::new(
            settings,
            inner.db.clone(),
            Arc::clone(&inner.clock),
            inner.bell.clone(),
            Arc::new(DeliverNotices(Arc::clone(inner))),
        )
    }

    /// One round of looking for deadlines; the tasks do this every second.
    pub async fn sweep(&self) -> Result<(), StorageError> {
        deadlines::sweep(&self.inner).await
    }

    /// One spot check of a seed; a task does this every few seconds. None: there is nothing to check.
    pub async fn spot_check(&self, draw: Draw) -> Result<Option<SpotCheckVerdict>, StorageError> {
        check::check_one(&self.inner, draw).await
    }

    /// One round of counting rows for the gauges; the tasks do this every five seconds.
    pub async fn count(&self) -> Result<(), StorageError> {
        Ok(counting::count(&self.inner).await?)
    }
}

async fn sweep_until(inner: Arc<Inner>, stop: CancellationToken) {
    // No session could be renewed while no manager ran, so each gets a full lease before any is reclaimed.
    while let Err(error) = grant_leases(&inner).await {
        tracing::warn!(%error, "sessions could not be granted a lease yet");
        if stopped_within(&stop, SWEEP_EVERY).await {
            return;
        }
    }
    while !stopped_within(&stop, SWEEP_EVERY).await {
        if let Err(error) = deadlines::sweep(&inner).await {
            tracing::warn!(%error, "check of deadlines failed, the next one follows");
        }
    }
}

async fn check_until(inner: Arc<Inner>, every: Duration, stop: CancellationToken) {
    while !stopped_within(&stop, every).await {
        let checking = check::check_one(&inner, Draw::random());
        match stop.run_until_cancelled(checking).await {
            Some(Err(error)) => {
                tracing::warn!(%error, "spot check failed in the database, the next one follows");
            }
            Some(Ok(_)) => {}
            None => return,
        }
    }
}

async fn count_until(inner: Arc<Inner>, stop: CancellationToken) {
    let mut is_told = false;
    loop {
        match counting::count(&inner).await {
            Ok(()) => is_told = false,
            Err(error) if !is_told => {
                tracing::warn!(%error, "rows not counted, gauges keep their last values");
                is_told = true;
            }
            Err(_) => {}
        }
        if stopped_within(&stop, COUNT_EVERY).await {
            return;
        }
    }
}

async fn grant_leases(inner: &Inner) -> Result<(), StorageError> {
    let until = inner.now_ms() + milliseconds(inner.limits.session_lease);
    inner
        .write(Urgency::Urgent, move |txn| {
            Box::pin(async move { grant_all(txn, SESSION, until).await.map(drop) })
        })
        .await
}

async fn stopped_within(stop: &CancellationToken, wait: Duration) -> bool {
    tokio::time::timeout(wait, stop.cancelled()).await.is_ok()
}
