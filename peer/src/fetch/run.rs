//! The one fetch of an object: parents in their order, then the registry, each continuing where the last broke.
//!
//! **Invariant:** only bytes whose sha256 is the digest are sealed. A parent's bytes are checked chunk by chunk
//! against BLAKE3 hashes of a parent that has proven the whole; wrong ones never land. If the whole is wrong all
//! the same, everything is thrown away and whoever gave it is left out.

mod choice;
mod chunks;
mod pace;
mod parts;
mod small;
mod source_span;
mod stream;

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use oci::{Digest, Location};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span, debug, info_span, warn};
use wire::{Side, TraceContext};

use super::faults::failed;
use super::needs::Needs;
use super::progress::{Body, Progress, Remains, Stage};
use super::{FetchError, FetchReport, Wanted};
use crate::metrics::PeerMetrics;
use crate::source::{SourceError, Sources};
use crate::spans::signed;
use chunks::Pieces;
use store::{ChunkHash, ChunkHashes, GrowingRoom, LandError, NoRoom, Partial, Proven, Store};

/// Times that the object is begun at its first byte.
const TAKES: u32 = 3;

pub(super) struct Fetch<'a> {
    store: Store,
    sources: Sources,
    wanted: Arc<Wanted>,
    progress: &'a watch::Sender<Progress>,
    needs: Arc<Needs>,
    /// Nobody wants the object any more.
    stop: CancellationToken,
    /// Somebody waits for a part that lies elsewhere.
    is_interrupted: bool,
    may_gather: bool,
    /// Delivers the object, once it is proven.
    delivers: Option<Location>,
    room: GrowingRoom,
    /// The size that the store was asked for.
    checked: Option<u64>,
    parents: Vec<String>,
    relays: Vec<String>,
    /// Parents that were left for the registry because they were slow.
    slow: Vec<String>,
    origin: bool,
    /// What the object's size has to be, by the order or by the first source.
    size: Option<u64>,
    /// Who gave the chunk hashes, and the hashes.
    voucher: Option<(String, ChunkHashes)>,
    media_type: Option<String>,
    /// Sources of the present take.
    used: Vec<String>,
    faults: Vec<(String, SourceError)>,
    report: FetchReport,
    metrics: PeerMetrics,
}

/// What a fetch may use.
pub(super) struct Around {
    pub(super) store: Store,
    pub(super) sources: Sources,
    pub(super) metrics: PeerMetrics,
}

/// Why a source was left.
enum Left {
    /// It has given all.
    Done,
    Broke(SourceError),
    WrongChunk,
    /// Others fetch it too: chunks are taken from all of them.
    Gather(Box<Pieces>),
    /// Somebody waits for a part that lies elsewhere.
    Elsewhere,
    /// Not the source's fault.
    Fatal(Failure),
}

enum Failure {
    Disk(io::Error),
    Fetch(FetchError),
}

impl Failure {
    fn word(&self) -> &'static str {
        match self {
            Self::Disk(_) => "disk",
            Self::Fetch(error) => error.word(),
        }
    }
}

impl<'a> Fetch<'a> {
    /// `is_pure`: what has landed of it before came from the wanted location too.
    pub(super) fn new(
        around: Around,
        wanted: Arc<Wanted>,
        is_pure: bool,
        progress: &'a watch::Sender<Progress>,
        needs: Arc<Needs>,
        stop: CancellationToken,
    ) -> Self {
        let Around {
            store,
            sources,
            metrics,
        } = around;
        Self {
            sources,
            progress,
            needs,
            stop,
            is_interrupted: false,
            delivers: is_pure.then(|| wanted.location.clone()),
            may_gather: true,
            room: GrowingRoom::new(store.clone(), wanted.digest.clone()),
            checked: None,
            parents: wanted.parents.clone(),
            relays: wanted.relays.clone(),
            slow: Vec::new(),
            origin: wanted.origin_allowed,
            size: wanted.size,
            voucher: None,
            media_type: wanted.media_type.clone(),
            used: Vec::new(),
            faults: Vec::new(),
            report: FetchReport::default(),
            metrics,
            store,
            wanted,
        }
    }

    /// Fetches, proves, seals. Says how it ended; the files are closed then.
    pub(super) async fn run(mut self) -> Stage {
        if let Some(stage) = self.run_small().await {
            return stage;
        }
        for take in 0..TAKES {
            let partial = match self.store.partial(&self.wanted.digest).await {
                Ok(partial) => partial,
                Err(error) => return self.disk(&error, Remains::nothing()),
            };
            let resumed = partial.len();
            self.begin(take, &partial);
            self.room.begin(partial.view().landed()).await;
            match self.fill_with_room(&partial).await {
                Ok(()) => {}
                Err(Failure::Fetch(error)) => return give_up(error),
                Err(Failure::Disk(error)) => return self.disk(&error, remains_of(&partial)),
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
                        stoker.digest = %self.wanted.digest,
                        stoker.side = wrong.side().word(),
                        "fetched again: {wrong}"
                    );
                }
                Err(error) => {
                    drop(file);
                    return self.disk(&error, Remains::nothing());
                }
            }
        }
        give_up(failed(&self.wanted.digest, &self.faults))
    }

    fn begin(&mut self, take: u32, partial: &Partial) {
        self.used.clear();
        self.may_gather = true;
        self.size = self.wanted.size;
        self.progress.send_modify(|now| {
            now.take = take;
            now.body = Some(Body::Open(partial.view()));
            now.recent = None;
            now.last_is_vouched = false;
            now.has_unvouched = !partial.view().hashes_from(0).is_empty();
            now.size = None;
            now.landed = partial.len();
        });
    }

    /// A full disk makes room again, as long as bytes land in between.
    async fn fill_with_room(&mut self, partial: &Partial) -> Result<(), Failure> {
        let mut landed_before = None;
        loop {
            let error = match self.fill(partial).await {
                // A store that has refused once has no more room the second time.
                Err(Failure::Disk(error)) if is_full(&error) => error,
                ended => return ended,
            };
            let landed = partial.view().landed();
            if landed_before
                .replace(landed)
                .is_some_and(|before| landed <= before)
                || self.room.disk_was_full(landed, self.size).await.is_err()
            {
                return Err(Failure::Disk(error));
            }
        }
    }

    /// Fails early when the object can never be held. Evicts nothing: its size may be a mere claim.
    async fn check_room(&mut self) -> Result<(), Failure> {
        if let Some(size) = self.size
            && self.checked != self.size
        {
            let checked = self.store.check_room(&self.wanted.digest, size).await;
            checked.map_err(|none| Failure::Disk(none.into()))?;
            self.checked = self.size;
        }
        Ok(())
    }

    /// Has room made for a chunk that has come, then lands it.
    async fn land_chunk(
        &self,
        number: u64,
        chunk: Bytes,
        expected: Option<ChunkHash>,
        partial: &Partial,
    ) -> Result<(), LandError> {
        self.room_for(&chunk).await?;
        partial.land_chunk(number, chunk, expected).await
    }

    async fn room_for(&self, block: &Bytes) -> io::Result<()> {
        let made = self.room.bytes_came(block.len() as u64, self.size).await;
        made.map_err(io::Error::from)
    }

    /// Until all bytes are there, right or wrong: parts that somebody waits for first, all else if it is wanted.
    async fn fill(&mut self, partial: &Partial) -> Result<(), Failure> {
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

    /// Until all bytes are there, or somebody waits for a part that lies elsewhere.
    async fn fill_whole(&mut self, partial: &Partial) -> Result<(), Failure> {
        // A second round for parents that broke off in the middle, as a restart of theirs does.
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
        if !self.origin {
            return Err(Failure::Fetch(failed(&self.wanted.digest, &self.faults)));
        }
        match self.try_origin(partial).await {
            Err(Failure::Fetch(_)) if !self.slow.is_empty() => self.try_slow_parents(partial).await,
            tried => tried,
        }
    }

    /// The registry, for which they were left, gives nothing: parents that are only slow have to do.
    async fn try_slow_parents(&mut self, partial: &Partial) -> Result<(), Failure> {
        self.origin = false;
        self.parents = std::mem::take(&mut self.slow);
        for parent in self.parents.clone() {
            self.try_parent(&parent, partial).await?;
            if self.is_complete(partial) || self.is_interrupted {
                return Ok(());
            }
        }
        Err(Failure::Fetch(failed(&self.wanted.digest, &self.faults)))
    }

    /// To be said before the bytes land: from then on readers of parts wait for the proof of the whole.
    fn lands_unvouched(&self) {
        self.progress
            .send_if_modified(|now| !std::mem::replace(&mut now.has_unvouched, true));
    }

    fn stopped(&self) -> Failure {
        nobody_wants(&self.wanted.digest)
    }

    /// What it waits for, unless the whole is not wanted any more. Not for steps to the disk: those end by themselves.
    async fn unless_stopped<T>(
        stop: &CancellationToken,
        digest: &Digest,
        waited: impl Future<Output = T>,
    ) -> Result<T, Failure> {
        let ended = stop.run_until_cancelled(waited).await;
        ended.ok_or_else(|| nobody_wants(digest))
    }

    fn is_complete(&self, partial: &Partial) -> bool {
        self.size == Some(partial.len())
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
        let sealing = proven.seal(self.media_type.clone(), self.wanted.kind);
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

    /// Before the object can be found under its name: whoever finds it need not ask its location again.
    fn note_delivered(&self) {
        if let Some(location) = &self.delivers {
            self.store.record_delivered(&self.wanted.digest, location);
        }
    }

    /// For those who read the object later: the span that wanted it, if it is kept anywhere.
    fn remember_the_trace(&self) {
        let trace = self.wanted.trace.clone().or_else(TraceContext::current);
        if let Some(trace) = trace.filter(TraceContext::is_sampled) {
            self.store.record_brought(&self.wanted.digest, &trace);
        }
    }

    /// Who gave wrong bytes is not asked again. `false` when nobody is left to ask.
    fn leave_out_the_used(&mut self, resumed: bool) -> bool {
        let used = std::mem::take(&mut self.used);
        let voucher = self.voucher.take().map(|(voucher, _)| voucher);
        let registry = self.wanted.location.registry().to_string();
        // Beside others it may be innocent: it gets a take of its own.
        let by_registry_alone = !resumed && used == [registry];
        self.origin = self.origin && !by_registry_alone;
        self.parents
            .retain(|parent| !used.contains(parent) && voucher.as_ref() != Some(parent));
        self.relays.retain(|relay| !used.contains(relay));
        self.origin || !self.parents.is_empty() || !self.relays.is_empty()
    }

    fn wrong_bytes(&self, found: String) -> FetchError {
        let registry = self.wanted.location.registry().to_string();
        let side = if self.used.contains(&registry) {
            Side::Registry
        } else {
            Side::Peer
        };
        FetchError::WrongBytes {
            digest: self.wanted.digest.clone(),
            found,
            from: self.used.join(" and "),
            side,
        }
    }

    fn disk(&self, error: &io::Error, remains: Remains) -> Stage {
        let error = FetchError::Disk {
            digest: self.wanted.digest.clone(),
            folder: self.store.folder().to_owned(),
            cause: error.to_string(),
        };
        // Told where it matters: by the placement that failed, or by the reader that goes on without the disk.
        debug!(%error, stoker.digest = %self.wanted.digest, "the disk refused");
        Stage::Failed(error, Some(remains))
    }
}

fn nobody_wants(digest: &Digest) -> Failure {
    Failure::Fetch(FetchError::Stopped {
        digest: digest.clone(),
    })
}

/// The disk itself was full: the store may know what may go.
fn is_full(error: &io::Error) -> bool {
    let was_asked = error
        .get_ref()
        .is_some_and(<dyn std::error::Error + Send + Sync>::is::<NoRoom>);
    error.kind() == io::ErrorKind::StorageFull && !was_asked
}

fn remains_of(partial: &Partial) -> Remains {
    Remains {
        file: Some(partial.file()),
        landed: partial.len(),
        hash: Some(partial.hash_so_far()),
    }
}

fn give_up(error: FetchError) -> Stage {
    // Told at the edge, by the placement or the pull that it fails.
    debug!(%error, "fetch failed");
    Stage::Failed(error, None)
}
