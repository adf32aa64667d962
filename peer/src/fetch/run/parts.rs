//! Fetches only the parts that are read.
//!
//! **Invariant:** a part is fetched in whole chunks, so less than one chunk at each end of a range is fetched
//! without need. Chunks from a peer that vouches are checked. Chunks from a relay or the registry are proven only
//! when the object is complete.

use std::ops::Range;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use store::{CHUNK, ChunkHash, LandError, Partial, last_chunk_begins};
use tokio::time::{sleep, timeout};
use tracing::{Instrument as _, debug};

use super::fetch_source::FetchSource;
use super::stream::next_try;
use super::task::{FetchFailure, FetchTask, other_size};
use super::turns::Turns;
use crate::fetch::faults::{cut_short, failed, note_fault, took_too_long};
use crate::fetch::patience::NextTry;
use crate::limits::Class;
use crate::source::{OpenSource, SourceError};

/// Objects up to this size are fetched as a whole: another request would cost as much.
const SMALL: u64 = 4 * CHUNK;
/// Chunks in one request.
const RUN: u64 = 4;
/// Requests at one time.
const RUNS: usize = 8;
/// A source that sends nothing for this long is abandoned.
const STALL: Duration = Duration::from_secs(30);
/// A fetch without readers ends after this time. Its bytes stay on the disk for the next reader.
const IDLE: Duration = Duration::from_secs(30);

/// The result of one run of chunks.
#[derive(Default)]
struct RunOutcome {
    gave: Vec<(String, bool, u64)>,
    faults: Vec<(String, SourceError)>,
    corrupt: Option<String>,
    failed: Option<FetchFailure>,
    /// The last chunk is here and vouched for.
    last_is_vouched: bool,
    is_done: bool,
}

/// A part while it is read: whole chunks land, and the bytes of the next chunk wait here.
struct PartReading {
    /// Where the next chunk begins.
    at: u64,
    end: u64,
    /// Bytes from `at` on.
    unread: BytesMut,
}

impl PartReading {
    fn is_done(&self) -> bool {
        self.at >= self.end
    }

    /// The first byte that is still to come.
    fn reached(&self) -> u64 {
        self.at + self.unread.len() as u64
    }

    /// Reads up to the end of the next chunk. Bytes that came before a fault are kept.
    async fn next_chunk(&mut self, opened: &mut OpenSource) -> Result<Bytes, SourceError> {
        let length = usize::try_from(CHUNK.min(self.end - self.at)).unwrap_or(usize::MAX);
        while self.unread.len() < length {
            match timeout(STALL, opened.stream.next()).await {
                Ok(Some(Ok(bytes))) => self.unread.extend_from_slice(&bytes),
                Ok(Some(Err(fault))) => return Err(fault),
                Ok(None) => return Err(cut_short()),
                Err(_) => return Err(took_too_long(STALL)),
            }
        }
        Ok(self.unread.split_to(length).freeze())
    }
}

impl FetchTask<'_> {
    /// Fetches until the whole is needed, or the last reader has left.
    pub(super) async fn fill_parts(&mut self, partial: &Partial) -> Result<(), FetchFailure> {
        let size = match self.size {
            Some(size) => size,
            None => self.learn_size().await?,
        };
        if size <= SMALL {
            self.needs.need_whole(Class::Interactive);
        }
        loop {
            let missing = self.needs.missing(&partial.view(), size);
            if missing.is_empty() {
                if self.needs.is_whole() || self.is_complete(partial) {
                    return Ok(());
                }
                self.wait_for_readers(partial, size).await?;
            } else {
                self.fetch_runs(&runs_of(missing), size, partial).await?;
            }
        }
    }

    /// Whether a reader waits for chunks that lie well beyond the frontier.
    pub(super) fn is_wanted_elsewhere(&self, partial: &Partial) -> bool {
        let soon = partial.len() / CHUNK + RUN;
        let is_far = |size| {
            let missing = self.needs.missing(&partial.view(), size);
            missing.into_iter().any(|chunk| chunk > soon)
        };
        !self.needs.has_no_readers() && self.size.is_some_and(is_far)
    }

    async fn wait_for_readers(&mut self, partial: &Partial, size: u64) -> Result<(), FetchFailure> {
        let last = last_chunk_begins(size) / CHUNK;
        let is_held_back = self.needs.reaches_the_end(size)
            && partial.view().has_chunk(last, size)
            && (!self.progress.borrow().gives_last() || self.needs.wants_proof(size));
        if is_held_back {
            // Only the whole proves the last chunk: no peer vouches for it, or its reader needs the proof.
            self.needs.need_whole(Class::Interactive);
            return Ok(());
        }
        tokio::select! {
            () = self.needs.changed() => Ok(()),
            () = self.stop.cancelled() => Err(self.stopped()),
            () = sleep(IDLE) => if self.needs.has_no_readers() { Err(self.stopped()) } else { Ok(()) },
        }
    }

    /// Asks parents, relays and the registry for the size.
    async fn learn_size(&mut self) -> Result<u64, FetchFailure> {
        for parent in self.parents.clone() {
            match self
                .sources
                .peers
                .chunks(&parent, &self.spec.digest, &self.spec.location)
                .await
            {
                Ok(hashes) => {
                    let size = hashes.size();
                    self.voucher = Some((parent, hashes));
                    return self.take_size(size);
                }
                Err(error) => self.parent_is_out(&parent, error.into()),
            }
        }
        let at = self.spec.registry_source();
        for relay in self.relays.clone() {
            let (kind, digest) = (self.spec.kind, &self.spec.digest);
            match self.sources.relay_size(&relay, &at, kind, digest).await {
                Ok(size) => return self.take_size(size),
                Err(error) => {
                    self.relays.retain(|other| *other != relay);
                    self.faults.push((relay, error));
                }
            }
        }
        if !self.registry_allowed {
            return Err(FetchFailure::Fetch(failed(&self.spec.digest, &self.faults)));
        }
        if let Some(size) = self.registry_size().await? {
            return self.take_size(size);
        }
        // The registry does not send the size: the stream's end is the object's end.
        self.needs.need_whole(Class::Interactive);
        Ok(0)
    }

    /// Asks the registry for the size, again if the request breaks off.
    async fn registry_size(&mut self) -> Result<Option<u64>, FetchFailure> {
        let at = self.spec.registry_source();
        let (mut patience, mut turns) = (self.patience(), Turns::default());
        loop {
            let asking = self.sources.registry_size(&at, self.spec.kind, &self.spec.digest);
            let fault = match Self::unless_stopped(&self.stop, &self.spec.digest, asking).await? {
                Ok(size) => return Ok(size),
                Err(fault) => fault,
            };
            let next = next_try(&mut patience, &mut turns, &fault, 0);
            note_fault(&mut self.faults, self.spec.location.registry().to_string(), fault);
            let NextTry::After(pause) = next else {
                return Err(FetchFailure::Fetch(failed(&self.spec.digest, &self.faults)));
            };
            Self::unless_stopped(&self.stop, &self.spec.digest, sleep(pause)).await?;
        }
    }

    fn take_size(&mut self, size: u64) -> Result<u64, FetchFailure> {
        if let Some(expected) = self.size.or(self.spec.size).filter(|expected| *expected != size) {
            return Err(FetchFailure::Fetch(self.wrong_size(expected, size)));
        }
        self.size = Some(size);
        self.progress.send_modify(|now| now.size = Some(size));
        Ok(size)
    }

    fn parent_is_out(&mut self, parent: &str, fault: SourceError) {
        self.parents.retain(|other| other != parent);
        self.faults.push((parent.to_owned(), fault));
    }

    async fn fetch_runs(
        &mut self,
        runs: &[Range<u64>],
        size: u64,
        partial: &Partial,
    ) -> Result<(), FetchFailure> {
        let fetching = runs.iter().map(|run| self.fetch_run(run.clone(), size, partial));
        let fetching = join_all(fetching);
        let outcomes = Self::unless_stopped(&self.stop, &self.spec.digest, fetching).await?;
        let mut last_is_vouched = false;
        for outcome in outcomes {
            for (source, is_registry, bytes) in outcome.gave {
                self.count(&source, is_registry, bytes);
            }
            for (source, fault) in outcome.faults {
                note_fault(&mut self.faults, source, fault);
            }
            if let Some(parent) = outcome.corrupt {
                let fault = self.wrong_chunk_of(&parent);
                self.parent_is_out(&parent, fault);
            }
            last_is_vouched |= outcome.last_is_vouched;
            if let Some(failure) = outcome.failed {
                return Err(failure);
            }
            if !outcome.is_done && self.parents.is_empty() && self.relays.is_empty() && !self.registry_allowed
            {
                return Err(FetchFailure::Fetch(failed(&self.spec.digest, &self.faults)));
            }
        }
        self.progress.send_modify(|now| {
            now.landed = partial.len();
            now.last_is_vouched |= last_is_vouched;
        });
        Ok(())
    }

    /// Requests the missing chunks of the run from one source after the other.
    async fn fetch_run(&self, run: Range<u64>, size: u64, partial: &Partial) -> RunOutcome {
        let mut outcome = RunOutcome::default();
        let parents = self.parents.iter().cloned().map(FetchSource::Parent);
        let relays = self.relays.iter().cloned().map(FetchSource::Relay);
        let registry = self
            .registry_allowed
            .then(|| FetchSource::Registry(self.spec.location.registry().clone()));
        let mut part = PartReading {
            at: run.start * CHUNK,
            end: (run.end * CHUNK).min(size),
            unread: BytesMut::new(),
        };
        for from in parents.chain(relays).chain(registry) {
            if outcome.corrupt == Some(from.name()) {
                continue;
            }
            self.read_from(&from, &mut part, size, partial, &mut outcome)
                .await;
            if part.is_done() || outcome.failed.is_some() {
                break;
            }
        }
        outcome.is_done = part.is_done();
        if !outcome.is_done && outcome.failed.is_none() && outcome.corrupt.is_none() {
            let mut faults = self.faults.clone();
            for (source, fault) in outcome.faults.iter().cloned() {
                note_fault(&mut faults, source, fault);
            }
            outcome.failed = Some(FetchFailure::Fetch(failed(&self.spec.digest, &faults)));
        }
        outcome
    }

    /// Reads a part from one source. A registry is asked again for the rest, as for a whole object.
    async fn read_from(
        &self,
        from: &FetchSource,
        part: &mut PartReading,
        size: u64,
        partial: &Partial,
        outcome: &mut RunOutcome,
    ) {
        let (mut patience, mut turns) = (self.patience(), Turns::default());
        // Bytes of two sources are never mixed in a chunk.
        part.unread.clear();
        loop {
            let (landed, reached) = (part.at, part.reached());
            let span = from.span(part.at);
            let taking = self.take_part(from, part, size, partial, outcome);
            let fault = taking.instrument(span.span()).await;
            outcome
                .gave
                .push((from.name(), from.is_registry(), part.at - landed));
            let Some(fault) = fault else {
                span.done(part.at);
                return;
            };
            span.abandoned(part.at, &fault);
            let next = if from.is_registry() && !self.is_abandoned() {
                next_try(&mut patience, &mut turns, &fault, part.reached() - reached)
            } else {
                NextTry::Hopeless
            };
            debug!(stoker.digest = %self.spec.digest, because = %fault, next = ?next, "part broke off");
            note_fault(&mut outcome.faults, from.name(), fault);
            let NextTry::After(pause) = next else { return };
            sleep(pause).await;
        }
    }

    /// Whether all readers of parts have left.
    fn is_abandoned(&self) -> bool {
        self.needs.has_no_readers() && !self.needs.is_whole()
    }

    /// Reads the rest of a part from one source, and lands its chunks. Returns why it did not come to the end.
    async fn take_part(
        &self,
        from: &FetchSource,
        part: &mut PartReading,
        size: u64,
        partial: &Partial,
        outcome: &mut RunOutcome,
    ) -> Option<SourceError> {
        let begins = part.reached();
        let limit = self.sources.open_limit(&self.spec.location);
        let mut opened = match timeout(limit, self.open_part(from, begins..part.end, size)).await {
            Ok(Ok(opened)) => opened,
            Ok(Err(fault)) => return Some(fault),
            Err(_) => return Some(took_too_long(limit)),
        };
        while !part.is_done() {
            let chunk = match part.next_chunk(&mut opened).await {
                Ok(chunk) => chunk,
                Err(fault) => return Some(fault),
            };
            let (number, length) = (part.at / CHUNK, chunk.len() as u64);
            let listed = usize::try_from(number - begins / CHUNK).ok();
            let listed = listed.and_then(|at| opened.hashes.get(at).copied());
            if !from.is_parent() {
                self.lands_unvouched();
            }
            let expected = self.expected(from, number).or(listed);
            match self.land_chunk(number, chunk, expected, partial).await {
                Ok(()) => {
                    self.metrics.received(from.is_registry(), length);
                    part.at += length;
                    let is_vouched = from.is_parent() && expected.is_some();
                    outcome.last_is_vouched |= is_vouched && part.at >= size;
                    self.progress.send_modify(|now| now.landed = partial.len());
                }
                Err(LandError::WrongChunk) => {
                    outcome.corrupt = Some(from.name());
                    return None;
                }
                Err(LandError::Disk(error)) => {
                    outcome.failed = Some(FetchFailure::Disk(error));
                    return None;
                }
            }
        }
        None
    }

    async fn open_part(
        &self,
        from: &FetchSource,
        part: Range<u64>,
        size: u64,
    ) -> Result<OpenSource, SourceError> {
        let (digest, kind) = (&self.spec.digest, self.spec.kind);
        let opened = match from {
            FetchSource::Parent(url) => {
                self.sources
                    .parent_part(url, digest, &self.spec.location, part)
                    .await
            }
            FetchSource::Relay(url) => {
                let at = self.spec.registry_source();
                self.sources.relay_part(url, &at, kind, digest, part).await
            }
            FetchSource::Registry(_) => {
                let at = self.spec.registry_source();
                self.sources.registry_part(&at, kind, digest, part).await
            }
        }?;
        match opened.size {
            Some(claimed) if claimed != size => Err(other_size(claimed, size)),
            _ => Ok(self.paced(opened, from.way())),
        }
    }

    /// Only a parent's chunks are checked: the others read the registry.
    fn expected(&self, from: &FetchSource, chunk: u64) -> Option<ChunkHash> {
        match (from, &self.voucher) {
            (FetchSource::Parent(_), Some((_, hashes))) => {
                Some(hashes.of_chunk_at(chunk * CHUNK).unwrap_or_default())
            }
            // Without a voucher no chunk is accepted: none has this hash.
            (FetchSource::Parent(_), None) => Some(ChunkHash::default()),
            _ => None,
        }
    }
}

/// Groups chunks that follow each other into one request.
fn runs_of(mut chunks: Vec<u64>) -> Vec<Range<u64>> {
    chunks.truncate(usize::try_from(RUN).unwrap_or(1) * RUNS);
    let mut runs: Vec<Range<u64>> = Vec::new();
    for chunk in chunks {
        match runs.last_mut() {
            Some(run) if run.end == chunk && run.end - run.start < RUN => run.end += 1,
            _ => runs.push(chunk..chunk + 1),
        }
    }
    runs.truncate(RUNS);
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adjacent_chunks_share_a_request() {
        assert_eq!(runs_of(vec![3, 4, 9, 10, 11, 12, 13]), [3..5, 9..13, 13..14]);
        assert_eq!(runs_of(vec![2, 1]), [2..3, 1..2]);
        assert_eq!(runs_of((0..100).map(|at| 2 * at).collect()).len(), RUNS);
    }
}
