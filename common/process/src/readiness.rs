//! Ready is a latch: ready once every [`Latch`] has been dropped, and not again unready by itself.

use std::sync::{Arc, Weak};

/// Tells whether everything has started.
#[derive(Clone)]
pub struct Readiness(Weak<()>);

/// Held by whatever is still starting.
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
    fn ready_once_nobody_holds_a_latch() {
        let (readiness, first) = readiness();
        let second = first.clone();
        drop(first);
        assert!(!readiness.is_ready());
        drop(second);
        assert!(readiness.is_ready());
    }
}
