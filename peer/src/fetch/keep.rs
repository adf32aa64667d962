//! Keeps bytes that another part of this peer has read from the registry.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::error::FetchError;
use super::fetches::{Fetches, MapEntry, OngoingFetch};
use super::progress::{Progress, Stage};
use super::spec::FetchSpec;
use store::{ProvenBytes, Sealed, Store};

impl Fetches {
    /// Whether no fetch runs.
    #[cfg(test)]
    pub(crate) fn are_over(&self) -> bool {
        self.now().is_empty()
    }

    /// Bytes of a running fetch that have landed.
    #[cfg(test)]
    pub(crate) fn landed(&self, digest: &oci::Digest) -> Option<u64> {
        let now = self.now();
        now.get(digest).map(|ongoing| ongoing.view.borrow().landed)
    }

    /// Seals these bytes unless they are held or being fetched. After a failure the next fetch gets them.
    pub(crate) fn keep(&self, wanted: FetchSpec, bytes: Bytes) {
        let mut now = self.now();
        if now.contains_key(&wanted.digest) || self.store().sealed(&wanted.digest).is_some() {
            return;
        }
        let wanted = Arc::new(wanted);
        let (progress, view) = watch::channel(Progress::default());
        let ongoing = OngoingFetch {
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
        let ends = MapEntry::new(self, &wanted.digest);
        let (store, metrics) = (self.store().clone(), self.metrics().clone());
        self.running().spawn(async move {
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

async fn seal(store: &Store, wanted: &FetchSpec, bytes: Bytes) -> Option<Sealed> {
    let proven = ProvenBytes::prove(&wanted.digest, bytes).ok()?;
    store.record_delivered(&wanted.digest, &wanted.location);
    let keeping = store.keep(proven, wanted.media_type.clone(), wanted.kind);
    let kept = keeping.await.inspect_err(|error| {
        debug!(%error, stoker.digest = %wanted.digest, "relayed manifest not stored");
    });
    kept.ok()
}
