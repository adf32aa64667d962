//! Writes down now and then when each object was used last, so that a restart does not forget it.

use std::io;
use std::sync::atomic::{AtomicI64, Ordering};

use super::{Store, catalog, off_thread};

/// Seconds between two times that it is written.
const WRITE_EVERY: i64 = 600;

#[derive(Default)]
pub(super) struct Uses {
    /// Unix seconds.
    written: AtomicI64,
}

impl Store {
    /// Writes down what is here and when it was used last. Called when the peer stops, too.
    pub async fn write_uses(&self) -> io::Result<()> {
        let store = self.clone();
        off_thread(move || store.write_catalog()).await
    }

    /// Blocks.
    pub(super) fn write_catalog_if_due(&self) -> io::Result<()> {
        let written = self.0.uses.written.load(Ordering::Relaxed);
        if self.now_unix() - written < WRITE_EVERY {
            return Ok(());
        }
        self.write_catalog()
    }

    fn write_catalog(&self) -> io::Result<()> {
        self.0.uses.written.store(self.now_unix(), Ordering::Relaxed);
        catalog::write(self.layout(), self.0.objects.with_uses())
    }
}
