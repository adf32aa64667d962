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
    pub(crate) fn keep(&self, spec: FetchSpec, bytes: Bytes) {
        let mut now = self.now();
        if now.contains_key(&spec.digest) || self.store().sealed(&spec.digest).is_some() {
            return;
        }
        let spec = Arc::new(spec);
        let (progress, view) = watch::channel(Progress::default());
        let ongoing = OngoingFetch {
            view,
            starter: spec.clone(),
            needs: Arc::default(),
            is_pure: true,
            followers: Arc::default(),
            stop: CancellationToken::new(),
            span: None,
        };
        now.insert(spec.digest.clone(), ongoing);
        drop(now);
        let ends = MapEntry::new(self, &spec.digest);
        let (store, metrics) = (self.store().clone(), self.metrics().clone());
        self.running().spawn(async move {
            metrics.received(true, bytes.len() as u64);
            let kept = seal(&store, &spec, bytes).await;
            drop(ends);
            let stopped = || {
                Stage::Failed(
                    FetchError::Stopped {
                        digest: spec.digest.clone(),
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

async fn seal(store: &Store, spec: &FetchSpec, bytes: Bytes) -> Option<Sealed> {
    let proven = ProvenBytes::prove(&spec.digest, bytes).ok()?;
    store.record_delivered(&spec.digest, &spec.location);
    let keeping = store.keep(proven, spec.media_type.clone(), spec.kind);
    let kept = keeping.await.inspect_err(|error| {
        debug!(%error, stoker.digest = %spec.digest, "relayed manifest not stored");
    });
    kept.ok()
}
