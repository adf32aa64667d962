//! The state of one fetch. All ways to fetch share it.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use oci::{Digest, Location};
use store::{ChunkHash, ChunkHashes, GrowingRoom, LandError, Partial, Store};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::debug;
use wire::{Side, TraceContext};

use crate::fetch::error::FetchError;
use crate::fetch::needs::Needs;
use crate::fetch::patience::Patience;
use crate::fetch::progress::{Progress, Remains, Stage};
use crate::fetch::report::FetchReport;
use crate::fetch::spec::FetchSpec;
use crate::limits::Way;
use crate::metrics::PeerMetrics;
use crate::source::{OpenSource, SourceError, Sources, host_and_port};

pub(in crate::fetch) struct FetchTask<'a> {
    pub(super) store: Store,
    pub(super) sources: Sources,
    pub(super) spec: Arc<FetchSpec>,
    pub(super) progress: &'a watch::Sender<Progress>,
    pub(super) needs: Arc<Needs>,
    /// The object is no longer needed.
    pub(super) stop: CancellationToken,
    /// A reader waits for a part at another offset.
    pub(super) is_interrupted: bool,
    pub(super) may_gather: bool,
    /// The location that counts as having delivered the object once it is proven.
    pub(super) delivers: Option<Location>,
    pub(super) room: GrowingRoom,
    /// The size for which room was checked.
    pub(super) checked: Option<u64>,
    pub(super) parents: Vec<String>,
    pub(super) relays: Vec<String>,
    /// Slow parents that were abandoned for the registry.
    pub(super) slow: Vec<String>,
    pub(super) registry_allowed: bool,
    /// The size that the object must have, by the spec or by the first source.
    pub(super) size: Option<u64>,
    /// The parent that gave the chunk hashes, and the hashes.
    pub(super) voucher: Option<(String, ChunkHashes)>,
    pub(super) media_type: Option<String>,
    /// Sources of the current take.
    pub(super) used: Vec<String>,
    pub(super) faults: Vec<(String, SourceError)>,
    pub(super) report: FetchReport,
    pub(super) metrics: PeerMetrics,
}

/// What a fetch uses.
pub(in crate::fetch) struct FetchContext {
    pub(in crate::fetch) store: Store,
    pub(in crate::fetch) sources: Sources,
    pub(in crate::fetch) metrics: PeerMetrics,
}

/// Why a fetch failed.
pub(super) enum FetchFailure {
    Disk(io::Error),
    Fetch(FetchError),
}

impl FetchFailure {
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Disk(_) => "disk",
            Self::Fetch(error) => error.word(),
        }
    }
}

impl<'a> FetchTask<'a> {
    /// `is_pure`: what has landed before came from the same location.
    pub(in crate::fetch) fn new(
        context: FetchContext,
        spec: Arc<FetchSpec>,
        is_pure: bool,
        progress: &'a watch::Sender<Progress>,
        needs: Arc<Needs>,
        stop: CancellationToken,
    ) -> Self {
        let FetchContext {
            store,
            sources,
            metrics,
        } = context;
        Self {
            sources,
            progress,
            needs,
            stop,
            is_interrupted: false,
            delivers: is_pure.then(|| spec.location.clone()),
            may_gather: true,
            room: GrowingRoom::new(store.clone(), spec.digest.clone()),
            checked: None,
            parents: spec.parents.clone(),
            relays: spec.relays.clone(),
            slow: Vec::new(),
            registry_allowed: spec.registry_allowed,
            size: spec.size,
            voucher: None,
            media_type: spec.media_type.clone(),
            used: Vec::new(),
            faults: Vec::new(),
            report: FetchReport::default(),
            metrics,
            store,
            spec,
        }
    }

    /// Fails early if the object can never fit. Evicts nothing, because the size may be wrong.
    pub(super) async fn check_room(&mut self) -> Result<(), FetchFailure> {
        if let Some(size) = self.size
            && self.checked != self.size
        {
            let checked = self.store.check_room(&self.spec.digest, size).await;
            checked.map_err(|none| FetchFailure::Disk(none.into()))?;
            self.checked = self.size;
        }
        Ok(())
    }

    /// Makes room for a chunk, then lands it.
    pub(super) async fn land_chunk(
        &self,
        number: u64,
        chunk: Bytes,
        expected: Option<ChunkHash>,
        partial: &Partial,
    ) -> Result<(), LandError> {
        self.room_for(&chunk).await?;
        partial.land_chunk(number, chunk, expected).await
    }

    pub(super) async fn room_for(&self, block: &Bytes) -> io::Result<()> {
        let made = self.room.bytes_received(block.len() as u64, self.size).await;
        made.map_err(io::Error::from)
    }

    /// Call this before bytes land that no peer vouches for: from then on, readers of parts wait for the proof.
    pub(super) fn lands_unvouched(&self) {
        self.progress
            .send_if_modified(|now| !std::mem::replace(&mut now.has_unvouched, true));
    }

    pub(super) fn stopped(&self) -> FetchFailure {
        not_wanted(&self.spec.digest)
    }

    /// Waits unless the fetch is stopped. Not for disk writes: those end by themselves.
    pub(super) async fn unless_stopped<T>(
        stop: &CancellationToken,
        digest: &Digest,
        waited: impl Future<Output = T>,
    ) -> Result<T, FetchFailure> {
        let ended = stop.run_until_cancelled(waited).await;
        ended.ok_or_else(|| not_wanted(digest))
    }

    pub(super) fn is_complete(&self, partial: &Partial) -> bool {
        self.size == Some(partial.len())
    }

    /// Patience with the registry, for one object or one part of it.
    pub(super) fn patience(&self) -> Patience {
        Patience::begin(Instant::now(), self.sources.slows_down(&self.spec.location))
    }

    /// Called before the object gets its name: a reader that finds it need not ask its location again.
    pub(super) fn note_delivered(&self) {
        if let Some(location) = &self.delivers {
            self.store.record_delivered(&self.spec.digest, location);
        }
    }

    /// Keeps the span of the fetch for later readers, if that trace is recorded.
    pub(super) fn remember_the_trace(&self) {
        let trace = self.spec.trace.clone().or_else(TraceContext::current);
        if let Some(trace) = trace.filter(TraceContext::is_sampled) {
            self.store.record_brought(&self.spec.digest, &trace);
        }
    }

    pub(super) fn disk(&self, error: &io::Error, remains: Remains) -> Stage {
        let error = FetchError::Disk {
            digest: self.spec.digest.clone(),
            folder: self.store.folder().to_owned(),
            cause: error.to_string(),
        };
        // Logged by the placement that fails, or by the reader that continues without the disk.
        debug!(%error, stoker.digest = %self.spec.digest, "disk write failed");
        Stage::Failed(error, Some(remains))
    }

    pub(super) fn wrong_chunk_of(&mut self, parent: &str) -> SourceError {
        self.voucher.take_if(|(voucher, _)| voucher == parent);
        // Its relayed bytes have no hashes, and the peer is no longer trusted.
        self.relays.retain(|relay| relay != parent);
        self.metrics.chunk_failed(host_and_port(parent));
        SourceError {
            side: Side::Peer,
            word: "wrong_chunk",
            passing: false,
            text: "a chunk did not match its hash".to_owned(),
        }
    }

    /// Slows the source down to the limits.
    pub(super) fn paced(&self, opened: OpenSource, way: Way) -> OpenSource {
        let needs = self.needs.clone();
        let stream = self
            .sources
            .limits
            .paced(way, opened.stream, move || needs.class());
        OpenSource {
            stream: Box::pin(stream),
            ..opened
        }
    }

    pub(super) fn count(&mut self, source: &str, is_registry: bool, bytes: u64) -> u64 {
        self.report.add(source, is_registry, bytes);
        if bytes > 0 && !self.used.iter().any(|used| used == source) {
            self.used.push(source.to_owned());
        }
        bytes
    }

    pub(super) fn wrong_size(&self, expected: u64, claimed: u64) -> FetchError {
        FetchError::WrongSize {
            digest: self.spec.digest.clone(),
            expected,
            claimed,
            from: self.spec.location.registry().to_string(),
            side: Side::Registry,
        }
    }
}

fn not_wanted(digest: &Digest) -> FetchFailure {
    FetchFailure::Fetch(FetchError::Stopped {
        digest: digest.clone(),
    })
}

pub(super) fn give_up(error: FetchError) -> Stage {
    // Logged at the edge, by the placement or the pull that fails.
    debug!(%error, "fetch failed");
    Stage::Failed(error, None)
}

pub(super) fn other_size(claimed: u64, expected: u64) -> SourceError {
    SourceError {
        side: Side::Peer,
        word: "wrong_size",
        passing: false,
        text: format!("it has {claimed} bytes instead of {expected}"),
    }
}
