//! Orders entries: urgent ones first, and one background entry after every eighth.
//!
//! The count continues across batches, so that background entries progress even while urgent ones fill every batch.

use tokio::sync::mpsc::Receiver;

const URGENT_IN_A_ROW: u32 = 8;

/// The two queues and the count of urgent entries in a row.
pub(crate) struct EntryQueues<E> {
    urgent: Receiver<E>,
    background: Receiver<E>,
    urgent_in_a_row: u32,
}

impl<E> EntryQueues<E> {
    pub(crate) fn new(urgent: Receiver<E>, background: Receiver<E>) -> Self {
        Self {
            urgent,
            background,
            urgent_in_a_row: 0,
        }
    }

    /// Waits for an entry; `None` if all senders are gone.
    pub(crate) async fn next(&mut self) -> Option<E> {
        if let Some(entry) = self.queued() {
            return Some(entry);
        }
        tokio::select! {
            biased;
            Some(entry) = self.urgent.recv() => Some(self.took_urgent(entry)),
            Some(entry) = self.background.recv() => Some(self.took_background(entry)),
            else => None,
        }
    }

    /// Returns the next queued entry without waiting.
    pub(crate) fn queued(&mut self) -> Option<E> {
        if self.urgent_in_a_row >= URGENT_IN_A_ROW
            && let Ok(entry) = self.background.try_recv()
        {
            return Some(self.took_background(entry));
        }
        if let Ok(entry) = self.urgent.try_recv() {
            return Some(self.took_urgent(entry));
        }
        let entry = self.background.try_recv().ok()?;
        Some(self.took_background(entry))
    }

    /// Returns the next entry that may join a batch with waiting callers. A background entry may join only when it is
    /// due, so that callers do not wait for background work.
    pub(crate) fn queued_for_caller(&mut self) -> Option<E> {
        let is_their_turn = self.urgent_in_a_row >= URGENT_IN_A_ROW;
        if !is_their_turn && self.urgent.is_empty() {
            return None;
        }
        self.queued()
    }

    /// Whether callers wait for a batch.
    pub(crate) fn has_callers(&self) -> bool {
        !self.urgent.is_empty()
    }

    /// Accepts no new entries; queued ones are still returned.
    pub(crate) fn close(&mut self) {
        self.urgent.close();
        self.background.close();
    }

    fn took_urgent(&mut self, entry: E) -> E {
        self.urgent_in_a_row = self.urgent_in_a_row.saturating_add(1);
        entry
    }

    fn took_background(&mut self, entry: E) -> E {
        self.urgent_in_a_row = 0;
        entry
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc;

    fn queues_with(urgent: u32, background: u32) -> EntryQueues<&'static str> {
        let (to_urgent, from_urgent) = mpsc::channel(64);
        let (to_background, from_background) = mpsc::channel(64);
        (0..urgent).for_each(|_| to_urgent.try_send("urgent").unwrap());
        (0..background).for_each(|_| to_background.try_send("background").unwrap());
        EntryQueues::new(from_urgent, from_background)
    }

    fn order(turn: &mut EntryQueues<&'static str>) -> Vec<&'static str> {
        std::iter::from_fn(|| turn.queued()).collect()
    }

    #[test]
    fn urgent_goes_before_background() {
        assert_eq!(
            order(&mut queues_with(2, 2)),
            ["urgent", "urgent", "background", "background"]
        );
    }

    #[test]
    fn background_never_starves() {
        let order = order(&mut queues_with(40, 4));
        let places: Vec<usize> = (0..order.len()).filter(|&n| order[n] == "background").collect();
        assert_eq!(places, [8, 17, 26, 35]);
    }

    #[test]
    fn a_caller_does_not_wait_for_background_entries_that_are_not_due() {
        let mut turn = queues_with(2, 2);
        let joined: Vec<_> = std::iter::from_fn(|| turn.queued_for_caller()).collect();
        assert_eq!(joined, ["urgent", "urgent"]);
        assert_eq!(order(&mut turn), ["background", "background"]);
    }

    #[tokio::test]
    async fn it_ends_when_all_senders_are_gone() {
        let mut turn = queues_with(1, 1);
        assert!(turn.next().await.is_some());
        assert!(turn.next().await.is_some());
        assert!(turn.next().await.is_none());
    }
}
