//! Runs one fetch of an object: parents in their order, then the registry. Each source continues where the last
//! one stopped.
//!
//! **Invariant:** only bytes that have the digest are sealed. A parent's bytes are checked chunk by chunk
//! against the BLAKE3 hashes of a parent that has proven the whole; wrong chunks never land. If the whole is
//! wrong all the same, all of it is deleted and its sources are excluded.

mod choice;
mod chunks;
mod fetch_source;
mod pace;
mod parts;
mod small;
mod source_span;
mod stream;
mod task;
mod turns;

use std::io;

use oci::Digest;
use store::{NoRoom, Partial, Proven};
use tracing::{Instrument as _, Span, info_span, warn};
use wire::Side;

use super::error::FetchError;
use super::faults::failed;
use super::progress::{Body, Remains, Stage};
use crate::spans::signed;
use task::{FetchFailure, give_up};

pub(super) use task::{FetchContext, FetchTask};

/// Limit for fetches of one object from its first byte.
const TAKES: u32 = 3;

impl FetchTask<'_> {
    /// Fetches, proves and seals the object. Closes all files, and returns the final stage.
    pub(super) async fn run(mut self) -> Stage {
        if let Some(stage) = self.run_small().await {
            return stage;
        }
        for take in 0..TAKES {
            let partial = match self.store.partial(&self.spec.digest).await {
                Ok(partial) => partial,
                Err(error) => return self.disk(&error, Remains::nothing(&self.spec.digest)),
            };
            let resumed = partial.len();
            self.begin(take, &partial);
            self.room.begin(partial.view().landed()).await;
            match self.fill_with_room(&partial).await {
                Ok(()) => {}
                Err(FetchFailure::Fetch(error)) => return give_up(error),
                Err(FetchFailure::Disk(error)) => return self.disk(&error, remains_of(&partial)),
            }
            let file = partial.file();
            match partial.prove().await {
                Ok(Ok(proven)) => return self.seal(proven).await,
                Ok(Err(wrong)) => {
                    let wrong = self.wrong_bytes(wrong.found);
                    if take + 1 == TAKES || !self.leave_out_the_used(resumed > 0) {
                        return give_up(wrong);
                    }
                    warn!(
                        stoker.digest = %self.spec.digest,
                        stoker.side = wrong.side().word(),
                        error = %wrong,
                        "wrong bytes, fetching the object again"
                    );
                }
                Err(error) => {
                    drop(file);
                    return self.disk(&error, Remains::nothing(&self.spec.digest));
                }
            }
        }
        give_up(failed(&self.spec.digest, &self.faults))
    }

    fn begin(&mut self, take: u32, partial: &Partial) {
        self.used.clear();
        self.may_gather = true;
        self.size = self.spec.size;
        self.progress.send_modify(|now| {
            now.take = take;
            now.body = Some(Body::Open(partial.view()));
            now.recent = None;
            now.last_is_vouched = false;
            now.has_unvouched = !partial.view().hashes_from(0).is_empty();
            now.size = None;
            now.is_open = false;
            now.landed = partial.len();
        });
    }

    /// Evicts objects each time the disk is full, as long as bytes land between two times.
    async fn fill_with_room(&mut self, partial: &Partial) -> Result<(), FetchFailure> {
        let mut landed_before = None;
        loop {
            let error = match self.fill(partial).await {
                // Not for a refusal by the store, which has already tried to evict.
                Err(FetchFailure::Disk(error)) if is_full(&error) => error,
                ended => return ended,
            };
            let landed = partial.view().landed();
            if landed_before
                .replace(landed)
                .is_some_and(|before| landed <= before)
                || self.room.disk_was_full(landed, self.size).await.is_err()
            {
                return Err(FetchFailure::Disk(error));
            }
        }
    }

    /// Fetches all bytes, proven or not: first the parts that readers wait for, then the rest if it is needed.
    async fn fill(&mut self, partial: &Partial) -> Result<(), FetchFailure> {
        while !self.is_complete(partial) {
            if !self.needs.is_whole() || self.is_wanted_elsewhere(partial) {
                self.fill_parts(partial).await?;
            }
            self.is_interrupted = false;
            if self.needs.is_whole() && !self.is_complete(partial) {
                self.fill_whole(partial).await?;
            }
        }
        Ok(())
    }

    /// Fetches until all bytes are here, or a reader waits for a part elsewhere.
    async fn fill_whole(&mut self, partial: &Partial) -> Result<(), FetchFailure> {
        // The second round is for parents whose transfer broke off, such as by a restart.
        for _ in 0..2 {
            for parent in self.parents.clone() {
                if self.is_complete(partial) || self.is_interrupted {
                    return Ok(());
                }
                self.try_parent(&parent, partial).await?;
            }
        }
        for relay in self.relays.clone() {
            if self.is_complete(partial) || self.is_interrupted {
                return Ok(());
            }
            self.try_relay(&relay, partial).await?;
        }
        if self.is_complete(partial) || self.is_interrupted {
            return Ok(());
        }
        if !self.registry_allowed {
            return Err(FetchFailure::Fetch(failed(&self.spec.digest, &self.faults)));
        }
        match self.try_registry(partial).await {
            Err(FetchFailure::Fetch(_)) if !self.slow.is_empty() => self.try_slow_parents(partial).await,
            tried => tried,
        }
    }

    /// Returns to the parents that were abandoned as slow, because the registry failed too.
    async fn try_slow_parents(&mut self, partial: &Partial) -> Result<(), FetchFailure> {
        self.registry_allowed = false;
        self.parents = std::mem::take(&mut self.slow);
        for parent in self.parents.clone() {
            self.try_parent(&parent, partial).await?;
            if self.is_complete(partial) || self.is_interrupted {
                return Ok(());
            }
        }
        Err(FetchFailure::Fetch(failed(&self.spec.digest, &self.faults)))
    }

    async fn seal(&self, proven: Proven) -> Stage {
        let (file, size) = (proven.file(), proven.size());
        Span::current().record("stoker.bytes", signed(size));
        self.note_delivered();
        self.progress.send_modify(|now| {
            now.size = Some(size);
            now.landed = size;
            now.stage = Stage::Proven(self.report.clone());
        });
        let sealing = proven.seal(self.media_type.clone(), self.spec.kind);
        let span = info_span!("seal", stoker.bytes = signed(size));
        match sealing.instrument(span).await {
            Ok(_) => {
                self.remember_the_trace();
                Stage::Sealed(self.report.clone())
            }
            Err(error) => self.disk(
                &error,
                Remains {
                    file: Some(file),
                    landed: size,
                    hash: None,
                },
            ),
        }
    }

    /// Excludes all sources of the wrong bytes. Returns `false` when no other source remains.
    fn leave_out_the_used(&mut self, resumed: bool) -> bool {
        let used = std::mem::take(&mut self.used);
        let voucher = self.voucher.take().map(|(voucher, _)| voucher);
        let registry = self.spec.location.registry().to_string();
        // The registry is excluded only if it sent all bytes of this take: otherwise a peer may have sent the wrong ones.
        let by_registry_alone = !resumed && used == [registry];
        self.registry_allowed = self.registry_allowed && !by_registry_alone;
        self.parents
            .retain(|parent| !used.contains(parent) && voucher.as_ref() != Some(parent));
        self.relays.retain(|relay| !used.contains(relay));
        self.registry_allowed || !self.parents.is_empty() || !self.relays.is_empty()
    }

    fn wrong_bytes(&self, found: Digest) -> FetchError {
        let registry = self.spec.location.registry().to_string();
        let side = if self.used.contains(&registry) {
            Side::Registry
        } else {
            Side::Peer
        };
        FetchError::WrongBytes {
            digest: self.spec.digest.clone(),
            found,
            from: self.used.join(" and "),
            side,
        }
    }
}

/// Returns whether the disk itself was full, and not only the store's share of it.
fn is_full(error: &io::Error) -> bool {
    let is_refusal = error
        .get_ref()
        .is_some_and(<dyn std::error::Error + Send + Sync>::is::<NoRoom>);
    error.kind() == io::ErrorKind::StorageFull && !is_refusal
}

fn remains_of(partial: &Partial) -> Remains {
    Remains {
        file: Some(partial.file()),
        landed: partial.len(),
        hash: Some(Box::new(partial.hash_so_far())),
    }
}
