//! Wakes waiters for work of a lane within this process.
//!
//! The bell is a hint: a lost ring costs one poll interval, never work. A waiter first listens, then checks for work,
//! then waits, so it notices a ring between checking and waiting. Lanes without listeners use no memory.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;

type Lanes = HashMap<String, watch::Sender<()>>;

/// Cheap to clone; clones share the bell.
#[derive(Clone, Debug, Default)]
pub struct Bell {
    lanes: Arc<Mutex<Lanes>>,
}

impl Bell {
    /// Wakes the listeners of a lane. Call it after the commit, or they find nothing.
    pub fn ring(&self, lane: &str) {
        if let Some(listeners) = self.lanes().get(lane) {
            listeners.send_replace(());
        }
    }

    pub fn ring_all(&self) {
        for listeners in self.lanes().values() {
            listeners.send_replace(());
        }
    }

    /// Returns a listener for every ring from now on.
    pub fn listen(&self, lane: &str) -> BellListener {
        let ears = self
            .lanes()
            .entry(lane.to_owned())
            .or_insert_with(|| watch::channel(()).0)
            .subscribe();
        BellListener {
            bell: self.clone(),
            lane: lane.to_owned(),
            ears: Some(ears),
        }
    }

    /// Waits for the next ring. Misses rings before the call; use [`Bell::listen`] to catch them.
    pub async fn wait(&self, lane: &str) {
        self.listen(lane).rung().await;
    }

    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock()
    }
}

/// A listener for one lane.
#[derive(Debug)]
pub struct BellListener {
    bell: Bell,
    lane: String,
    ears: Option<watch::Receiver<()>>,
}

impl BellListener {
    /// Completes once the bell has rung since `listen` or since this last completed. Cancel-safe.
    pub async fn rung(&mut self) {
        if let Some(ears) = &mut self.ears
            && ears.changed().await.is_ok()
        {
            return;
        }
        std::future::pending::<()>().await;
    }
}

impl Drop for BellListener {
    fn drop(&mut self) {
        let mut lanes = self.bell.lanes();
        self.ears = None;
        if lanes
            .get(&self.lane)
            .is_some_and(|listeners| listeners.receiver_count() == 0)
        {
            lanes.remove(&self.lane);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[test]
    fn a_ring_between_listening_and_waiting_wakes() {
        let bell = Bell::default();
        let mut listening = bell.listen("lane");
        bell.ring("lane");
        assert!(listening.rung().now_or_never().is_some());
        assert!(listening.rung().now_or_never().is_none(), "one ring wakes once");
    }

    #[test]
    fn another_lane_is_not_woken() {
        let bell = Bell::default();
        let mut listening = bell.listen("lane");
        bell.ring("another");
        assert!(listening.rung().now_or_never().is_none());
        bell.ring_all();
        assert!(listening.rung().now_or_never().is_some());
    }

    #[test]
    fn a_lane_without_listeners_uses_no_memory() {
        let bell = Bell::default();
        let (first, second) = (bell.listen("lane"), bell.listen("lane"));
        drop(first);
        assert_eq!(bell.lanes().len(), 1);
        drop(second);
        bell.ring("lane");
        assert!(bell.lanes().is_empty());
    }
}
