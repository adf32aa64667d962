//! Wakes those who wait for work of a lane, within this process.
//!
//! The bell is a hint: a lost ring costs one poll interval, never work. Whoever waits listens first, then looks, then
//! waits; a ring between looking and waiting is therefore heard. Lanes that nobody listens to take no memory.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;

type Lanes = HashMap<String, watch::Sender<()>>;

/// Cheap to clone; all clones ring the same bell.
#[derive(Clone, Debug, Default)]
pub struct Bell {
    lanes: Arc<Mutex<Lanes>>,
}

impl Bell {
    /// Call it after the commit: who wakes earlier would look in vain.
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

    /// Hears every ring from now on.
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

    /// Waits for the next ring; one that rang before the call is missed, which is what [`Bell::listen`] is for.
    pub async fn wait(&self, lane: &str) {
        self.listen(lane).rung().await;
    }

    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock()
    }
}

/// Somebody's ear for one lane.
#[derive(Debug)]
pub struct BellListener {
    bell: Bell,
    lane: String,
    ears: Option<watch::Receiver<()>>,
}

impl BellListener {
    /// Returns once the bell has rung since `listen`, or since the last time this returned. Cancelling it is safe.
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
    fn a_ring_between_listening_and_waiting_is_heard() {
        let bell = Bell::default();
        let mut listening = bell.listen("lane");
        bell.ring("lane");
        assert!(listening.rung().now_or_never().is_some());
        assert!(
            listening.rung().now_or_never().is_none(),
            "one ring is heard once"
        );
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
    fn a_lane_that_nobody_listens_to_takes_no_memory() {
        let bell = Bell::default();
        let (first, second) = (bell.listen("lane"), bell.listen("lane"));
        drop(first);
        assert_eq!(bell.lanes().len(), 1);
        drop(second);
        bell.ring("lane");
        assert!(bell.lanes().is_empty());
    }
}
