//! Tracks the tasks of a process, so that a shutdown can stop them and wait for them.
//!
//! A shutdown has two steps: start nothing new and finish running work; after the grace period, abort.

use std::future::Future;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, Span, warn};

/// A handle to the tasks of this process; clones share it.
#[derive(Clone, Default)]
pub struct Running {
    soft: CancellationToken,
    hard: CancellationToken,
    tasks: TaskTracker,
}

impl Running {
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns a token that is cancelled when no new work may start.
    pub fn stopping(&self) -> &CancellationToken {
        &self.soft
    }

    /// Spawns `work` in the current span; it runs until it ends or the grace period of a drain is over.
    pub fn spawn<F>(&self, work: F) -> JoinHandle<Option<F::Output>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let hard = self.hard.clone();
        self.tasks
            .spawn(hard.run_until_cancelled_owned(work).instrument(Span::current()))
    }

    /// Asks every task to stop, waits up to `grace`, then aborts the rest.
    pub async fn drain(&self, grace: Duration) {
        self.soft.cancel();
        self.tasks.close();
        if tokio::time::timeout(grace, self.tasks.wait()).await.is_err() {
            warn!(
                tasks = self.tasks.len(),
                grace_ms = grace.as_millis(),
                "grace period over, aborting remaining tasks"
            );
            self.hard.cancel();
            let _ = tokio::time::timeout(Duration::from_secs(1), self.tasks.wait()).await;
        }
    }
}

/// Keeps SIGHUP from ending the process. It means "reload files"; code with files to reload listens itself
/// ([`crate::Certificates`]).
pub fn survive_hangup() {
    if let Err(error) = signal(SignalKind::hangup()) {
        warn!(%error, "cannot handle SIGHUP, it will end the process");
    }
}

/// Waits for SIGTERM or SIGINT.
pub async fn stop_signal() {
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        warn!("cannot handle signals: stop the process with SIGKILL");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stuck_task_is_aborted_after_the_grace_period() {
        let running = Running::new();
        let task = running.spawn(std::future::pending::<()>());
        running.drain(Duration::from_millis(20)).await;
        assert_eq!(task.await.expect("not panicked"), None);
    }

    #[tokio::test]
    async fn a_drain_ends_as_soon_as_all_tasks_have_stopped() {
        let running = Running::new();
        let stopping = running.stopping().clone();
        let task = running.spawn(async move { stopping.cancelled().await });
        let drained =
            tokio::time::timeout(Duration::from_secs(60), running.drain(Duration::from_secs(3_600))).await;
        assert!(drained.is_ok(), "the drain waited for the whole grace period");
        assert_eq!(task.await.expect("not panicked"), Some(()));
    }
}
