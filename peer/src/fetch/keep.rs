//! Bytes that somebody else has read from the registry already, on their way to the disk.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::progress::{Progress, Stage};
use super::{FetchError, Fetches, LeavesMap, Ongoing, Wanted};
use store::{ProvenBytes, Sealed, Store};

impl Fetches {
    /// Nothing is fetched, and nothing is on its way to the disk.
    #[cfg(test)]
    pub(crate) fn are_over(&self) -> bool {
        self.now().is_empty()
    }

    /// How much of an object has landed that is being fetched.
    #[cfg(test)]
    pub(crate) fn landed(&self, digest: &oci::Digest) -> Option<u64> {
        let now = self.now();
        now.get(digest).map(|ongoing| ongoing.view.borrow().landed)
    }

    /// Seals these bytes unless they are here or on their way. What cannot be kept is fetched by the next who wants it.
    pub(crate) fn keep(&self, wanted: Wanted, bytes: Bytes) {
        let mut now = self.now();
        if now.contains_key(&wanted.digest) || self.0.store.sealed(&wanted.digest).is_some() {
            return;
        }
        let wanted = Arc::new(wanted);
        let (progress, view) = watch::channel(Progress::default());
        let ongoing = Ongoing {
            view,
            starter: wanted.clone(),
            needs: Arc::default(),
            is_pure: true,
            followers: Arc::default(),
            stop: CancellationToken::new(),
            span: None,
        };
        now.insert(wanted.digest.clone(), ongoing);
        drop(now);
        let ends = LeavesMap {
            fetches: self.clone(),
            digest: wanted.digest.clone(),
            _counting: self.0.metrics.fetch_begins(),
        };
        let (store, metrics) = (self.0.store.clone(), self.0.metrics.clone());
        self.0.running.spawn(async move {
            metrics.received(true, bytes.len() as u64);
            let kept = seal(&store, &wanted, bytes).await;
            drop(ends);
            let stopped = || {
                Stage::Failed(
                    FetchError::Stopped {
                        digest: wanted.digest.clone(),
                    },
                    None,
                )
            };
            progress.send_modify(|now| {
                if let Some(sealed) = kept {
                    *now = Progress::of_sealed(sealed);
                } else {
                    now.stage = stopped();
                }
            });
        });
    }
}

async fn seal(store: &Store, wanted: &Wanted, bytes: Bytes) -> Option<Sealed> {
    let proven = ProvenBytes::prove(&wanted.digest, bytes).ok()?;
    store.record_delivered(&wanted.digest, &wanted.location);
    let keeping = store.keep(proven, wanted.media_type.clone(), wanted.kind);
    let kept = keeping.await.inspect_err(|error| {
        debug!(%error, stoker.digest = %wanted.digest, "a manifest that was passed on is not kept");
    });
    kept.ok()
}
