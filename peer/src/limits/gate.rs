//! A bucket that tasks wait at.
//!
//! **Invariant:** no wait is longer than a minute: a stalled transfer is worse than one that is too fast. A
//! task that stops waiting (its future is dropped) leaves nothing behind. Without a limit, passing costs one
//! load.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use process::Running;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep, timeout};
use wire::Rate;

use super::bucket::{Bucket, Class};
use super::metrics::LimitMetrics;

const WAIT_LIMIT: Duration = Duration::from_secs(60);

/// Clones share the gate.
#[derive(Clone)]
pub(super) struct Gate(Arc<GateInner>);

struct GateInner {
    name: &'static str,
    limited: AtomicBool,
    queue: Mutex<GateQueue>,
    rate_changed: Notify,
    began: Instant,
    running: Running,
    metrics: LimitMetrics,
}

struct GateQueue {
    bucket: Bucket<oneshot::Sender<()>>,
    /// A task serves the queue. Only while something waits.
    is_attended: bool,
}

impl Gate {
    pub(super) fn new(name: &'static str, running: Running, metrics: LimitMetrics) -> Self {
        let queue = GateQueue {
            bucket: Bucket::new(None, Duration::ZERO),
            is_attended: false,
        };
        Self(Arc::new(GateInner {
            name,
            limited: AtomicBool::new(false),
            queue: Mutex::new(queue),
            rate_changed: Notify::new(),
            began: Instant::now(),
            running,
            metrics,
        }))
    }

    pub(super) fn set(&self, rate: Option<Rate>) {
        let now = self.now();
        self.queue().bucket.set_rate(now, rate);
        self.0.limited.store(rate.is_some(), Ordering::Release);
        self.0.rate_changed.notify_one();
    }

    /// Returns when these bytes may move.
    pub(super) async fn pass(&self, class: Class, bytes: u64) {
        if bytes == 0 || !self.0.limited.load(Ordering::Acquire) {
            return;
        }
        let Some(turn) = self.ask(class, bytes) else {
            self.0.metrics.passed(self.0.name, class, bytes, Duration::ZERO);
            return;
        };
        let began = Instant::now();
        if timeout(WAIT_LIMIT, turn).await.is_err() {
            self.queue().bucket.pay(bytes);
        }
        self.0.metrics.passed(self.0.name, class, bytes, began.elapsed());
    }

    /// Returns `None` when the bytes may move at once.
    fn ask(&self, class: Class, bytes: u64) -> Option<oneshot::Receiver<()>> {
        let now = self.now();
        let mut queue = self.queue();
        if queue.bucket.take(now, bytes) {
            return None;
        }
        let (turn, comes) = oneshot::channel();
        queue.bucket.wait(class, bytes, turn);
        if !queue.is_attended {
            queue.is_attended = true;
            self.0.running.spawn(self.clone().attend());
        }
        Some(comes)
    }

    /// Serves the queue until it is empty.
    async fn attend(self) {
        while let Some(wait) = self.let_pass() {
            tokio::select! {
                () = sleep(wait) => {}
                () = self.0.rate_changed.notified() => {}
            }
        }
    }

    /// Lets pass what may go on. Returns the time until the next one, or `None` when nothing waits.
    fn let_pass(&self) -> Option<Duration> {
        let now = self.now();
        let mut queue = self.queue();
        while let Some((bytes, turn)) = queue.bucket.next(now, |turn| !turn.is_closed()) {
            if turn.send(()).is_err() {
                queue.bucket.give_back(bytes);
            }
        }
        let wait = queue.bucket.opens_in();
        queue.is_attended = wait.is_some();
        wait
    }

    fn now(&self) -> Duration {
        self.0.began.elapsed()
    }

    fn queue(&self) -> MutexGuard<'_, GateQueue> {
        self.0.queue.lock()
    }
}
