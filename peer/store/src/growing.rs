//! Room for one object that is being fetched, promised in steps as its bytes arrive.
//!
//! **Invariant:** the size that a source claims evicts nothing. A promise is never more than the received
//! bytes plus one step. A step is never more than these bytes, 64 MiB, or a sixteenth of the store.

use oci::Digest;
use tokio::sync::Mutex;

use super::chunks::CHUNK;
use super::handle::Store;
use super::promises::{NoRoom, Room};

const MOST_STEP: u64 = 64 * 1024 * 1024;
/// A step is at most this fraction of the store's capacity.
const STEPS: u64 = 16;

/// The room of one object. Keep it until the object is sealed or abandoned.
pub struct GrowingRoom {
    store: Store,
    digest: Digest,
    state: Mutex<GrowingState>,
}

#[derive(Default)]
struct GrowingState {
    /// Received bytes, including those that are about to be written.
    received: u64,
    promised: u64,
    room: Option<Room>,
}

impl GrowingRoom {
    pub fn new(store: Store, digest: Digest) -> Self {
        Self {
            store,
            digest,
            state: Mutex::default(),
        }
    }

    /// Starts again from what has landed. Earlier promises are given back.
    pub async fn begin(&self, landed: u64) {
        *self.state.lock().await = GrowingState {
            received: landed,
            ..GrowingState::default()
        };
    }

    /// Makes room for `length` received bytes. Call it before they are written.
    ///
    /// `size` is the object's size if a source or a lot names it: the promise ends there.
    pub async fn bytes_received(&self, length: u64, size: Option<u64>) -> Result<(), NoRoom> {
        let mut state = self.state.lock().await;
        state.received = state.received.saturating_add(length);
        if state.received <= state.promised {
            return Ok(());
        }
        let step = step_after(state.received, self.store.capacity());
        self.promise(&mut state, step, size).await
    }

    /// Makes room again after a write found the disk full, for one chunk at least.
    pub async fn disk_was_full(&self, landed: u64, size: Option<u64>) -> Result<(), NoRoom> {
        let mut state = self.state.lock().await;
        state.received = landed;
        let step = step_after(landed, self.store.capacity()).max(CHUNK);
        self.promise(&mut state, step, size).await
    }

    async fn promise(&self, state: &mut GrowingState, step: u64, size: Option<u64>) -> Result<(), NoRoom> {
        let goal = promised_after(state.received, step, size);
        state.room = Some(self.store.make_room(&self.digest, goal).await?);
        state.promised = goal;
        Ok(())
    }
}

/// The step after `received` bytes: as much again, up to the limits.
fn step_after(received: u64, most: u64) -> u64 {
    received.min(MOST_STEP).min(most / STEPS)
}

/// The bytes to promise once `received` bytes have arrived. When a source sends more than it claimed, its claim no
/// longer counts.
fn promised_after(received: u64, step: u64, size: Option<u64>) -> u64 {
    let goal = received.saturating_add(step);
    size.map_or(goal, |size| goal.min(size.max(received)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1024 * 1024 * 1024;

    #[test]
    fn a_step_doubles_the_room_up_to_its_limits() {
        assert_eq!(step_after(0, GIB), 0);
        assert_eq!(step_after(3, GIB), 3);
        assert_eq!(step_after(GIB, 100 * GIB), MOST_STEP);
        assert_eq!(step_after(GIB, 160), 10);
        assert_eq!(step_after(u64::MAX, u64::MAX), MOST_STEP);
    }

    #[test]
    fn a_promise_ends_with_the_object_and_covers_the_received_bytes() {
        assert_eq!(promised_after(3, 3, Some(1024 * GIB)), 6);
        assert_eq!(promised_after(3, 3, Some(4)), 4);
        assert_eq!(promised_after(3, 3, Some(1)), 3);
        assert_eq!(promised_after(3, 3, None), 6);
        assert_eq!(promised_after(u64::MAX, MOST_STEP, None), u64::MAX);
    }
}
