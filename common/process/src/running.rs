//! Every task of a process, so that a shutdown can ask them to stop and wait until they have.
//!
//! Stopping has two steps: take nothing new and finish what runs; after the grace, be cut.

use std::future::Future;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, Span, warn};

/// Handle to the tasks of this process; clones share them.
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

    /// Cancelled when nothing new may be taken.
    pub fn stopping(&self) -> &CancellationToken {
        &self.soft
    }

    /// Runs `work` in the current span until it ends or the grace of a drain is over.
    pub fn spawn<F>(&self, work: F) -> JoinHandle<Option<F::Output>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let hard = self.hard.clone();
        self.tasks
            .spawn(hard.run_until_cancelled_owned(work).instrument(Span::current()))
    }

    /// Asks every task to stop, waits up to `grace`, then cuts what is left.
    pub async fn drain(&self, grace: Duration) {
        self.soft.cancel();
        self.tasks.close();
        if tokio::time::timeout(grace, self.tasks.wait()).await.is_err() {
            warn!(
                tasks = self.tasks.len(),
                grace_ms = grace.as_millis(),
                "grace is over, cutting what still runs"
            );
            self.hard.cancel();
            let _ = tokio::time::timeout(Duration::from_secs(1), self.tasks.wait()).await;
        }
    }
}

/// SIGHUP means "read your files again" to daemons, and ends a process that has no handler. From here on it does not; what
/// has files to read again listens for itself ([`crate::Certificates`]).
pub fn survive_hangup() {
    if let Err(error) = signal(SignalKind::hangup()) {
        warn!(%error, "no handler for SIGHUP can be installed: this signal ends the process");
    }
}

/// Waits for SIGTERM or SIGINT.
pub async fn stop_signal() {
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        warn!("no signal handler can be installed: stop this process with SIGKILL");
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
    async fn a_stuck_task_is_cut_after_the_grace() {
        let running = Running::new();
        let task = running.spawn(std::future::pending::<()>());
        running.drain(Duration::from_millis(20)).await;
        assert_eq!(task.await.expect("not panicked"), None);
    }

    #[tokio::test]
    async fn a_task_that_listens_ends_by_itself_and_nobody_waits_for_the_grace() {
        let running = Running::new();
        let stopping = running.stopping().clone();
        let task = running.spawn(async move { stopping.cancelled().await });
        let drained =
            tokio::time::timeout(Duration::from_secs(60), running.drain(Duration::from_secs(3_600))).await;
        assert!(drained.is_ok(), "the drain waited for the grace");
        assert_eq!(task.await.expect("not panicked"), Some(()));
    }
}
