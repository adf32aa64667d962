//! Readiness: ready once every [`Latch`] is dropped, and then for good.

use std::sync::{Arc, Weak};

/// Whether everything has started.
#[derive(Clone)]
pub struct Readiness(Weak<()>);

/// Held by each part that is still starting.
#[derive(Clone)]
pub struct Latch {
    _held: Arc<()>,
}

pub fn readiness() -> (Readiness, Latch) {
    let held = Arc::new(());
    (Readiness(Arc::downgrade(&held)), Latch { _held: held })
}

impl Readiness {
    pub fn is_ready(&self) -> bool {
        self.0.strong_count() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_once_all_latches_are_dropped() {
        let (readiness, first) = readiness();
        let second = first.clone();
        drop(first);
        assert!(!readiness.is_ready());
        drop(second);
        assert!(readiness.is_ready());
    }
}
