//! Gives other peers the chunks of a running fetch, also before the whole is proven.
//!
//! The other peer checks each chunk against a hash from another peer.

use std::fs::File;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use oci::{Digest, Location};
use tokio::sync::watch;
use tokio::time::timeout;

use super::fetches::Fetches;
use super::progress::{Body, Progress, Stage};
use store::PartialView;

#[derive(Clone)]
pub(crate) struct PartialReader(watch::Receiver<Progress>);

impl Fetches {
    pub(crate) fn partial_reader(&self, digest: &Digest) -> Option<PartialReader> {
        self.now()
            .get(digest)
            .map(|ongoing| PartialReader(ongoing.view.clone()))
    }

    /// The same, if all bytes of the object are from this location.
    pub(crate) fn partial_reader_from(&self, digest: &Digest, location: &Location) -> Option<PartialReader> {
        let now = self.now();
        let ongoing = now.get(digest).filter(|ongoing| ongoing.reads_from(location))?;
        Some(PartialReader(ongoing.view.clone()))
    }
}

impl PartialReader {
    /// Waits, at most for `wait`, until all of `range` is in the file. Returns the file and the object's size.
    pub(crate) async fn part(&mut self, range: Range<u64>, wait: Duration) -> Option<(Arc<File>, u64)> {
        timeout(wait, self.until(range)).await.ok().flatten()
    }

    async fn until(&mut self, range: Range<u64>) -> Option<(Arc<File>, u64)> {
        loop {
            {
                let progress = self.0.borrow_and_update();
                if let (Some(Body::Open(view)), Some(size)) = (&progress.body, progress.size)
                    && view.readable_from(range.start, size) >= range.end.min(size)
                {
                    return Some((view.file(), size));
                }
                if !matches!(progress.stage, Stage::Running) {
                    return None;
                }
            }
            self.0.changed().await.ok()?;
        }
    }

    /// Hashes of the chunks that are here from `number` on, each with its number.
    pub(crate) fn hashes_from(&self, number: u64) -> Vec<(u64, [u8; 32])> {
        self.view().map_or_else(Vec::new, |view| view.hashes_from(number))
    }

    /// Waits until more has landed. Never returns once the fetch has ended.
    pub(crate) async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    fn view(&self) -> Option<PartialView> {
        match &self.0.borrow().body {
            Some(Body::Open(view)) => Some(view.clone()),
            _ => None,
        }
    }
}
