//! Fetches chunks from several peers at the same time, and checks each against its hash.
//!
//! **Invariant:** a chunk is requested only once its hash is known, so a wrong one is found before it lands;
//! its peer is excluded. A late chunk is requested from a second peer too. Memory is bounded by the chunks that
//! are requested at one time.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use store::{CHUNK, ChunkHash, ChunkHashes, LandError, Partial};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, debug, info};
use wire::Side;

use super::choice::Choice;
use super::source_span::SourceSpan;
use super::task::{FetchFailure, FetchTask};
use crate::limits::Way;
use crate::source::{CrowdFeed, ShareError, SourceError, host_and_port};

/// Chunks that are requested at one time.
const AT_ONCE: usize = 8;
/// Chunks beyond the frontier that are requested.
const AHEAD: u64 = 24;
/// A second peer is asked when a chunk takes this many times longer than usual.
const PATIENCE: u32 = 4;
const LEAST_PATIENCE: Duration = Duration::from_millis(400);
const MOST_PATIENCE: Duration = Duration::from_secs(4);
/// The weight of a fault after which a peer is not asked again for this object.
const NOT_AGAIN: u32 = u32::MAX / 2;
/// Late chunks that are requested a second time in one round.
const RACES: usize = 2;
/// Time between two checks for slow peers.
const TICK: Duration = Duration::from_millis(100);
/// After this time without a chunk from any peer, the fetch reads from one source instead.
const STALL: Duration = Duration::from_secs(10);

/// A chunk from a peer, or an error.
struct ChunkResponse {
    chunk: u64,
    from: String,
    /// `None` when another peer was faster.
    result: Option<Result<Bytes, ShareError>>,
    took: Duration,
}

/// The requests for one chunk.
struct ChunkRequest {
    since: Instant,
    peers: Vec<String>,
    /// Cancelled once the chunk is here.
    enough: CancellationToken,
}

/// The peers that chunks come from, and the state of all requests.
pub(super) struct ChunkTransfers {
    feed: CrowdFeed,
    seeds: Vec<String>,
    /// Hashes of all chunks, from a peer that has proven the whole.
    hashes: Option<ChunkHashes>,
    size: u64,
    in_flight: FuturesUnordered<BoxFuture<'static, ChunkResponse>>,
    requests: HashMap<u64, ChunkRequest>,
    tried: HashMap<u64, HashSet<String>>,
    faults: HashMap<String, u32>,
    spans: HashMap<String, SourceSpan>,
    /// The usual time for one chunk.
    usual_time: Duration,
    last_came: Instant,
}

impl ChunkTransfers {
    pub(super) fn new(feed: CrowdFeed, seeds: Vec<String>, hashes: Option<ChunkHashes>, size: u64) -> Self {
        Self {
            feed,
            seeds,
            hashes,
            size,
            in_flight: FuturesUnordered::new(),
            requests: HashMap::new(),
            tried: HashMap::new(),
            faults: HashMap::new(),
            spans: HashMap::new(),
            // An estimate until the first chunks arrive.
            usual_time: Duration::from_millis(500),
            last_came: Instant::now(),
        }
    }

    fn hash_of(&self, chunk: u64) -> Option<ChunkHash> {
        match &self.hashes {
            Some(hashes) => hashes.of_chunk_at(chunk * CHUNK),
            None => self.feed.now().hash_of(chunk),
        }
    }

    fn parent_of(&self, object: &str, chunk: u64) -> Option<String> {
        let crowd = self.feed.now();
        let choice = Choice {
            object,
            me: &crowd.me,
            siblings: &crowd.siblings,
            seeds: &self.seeds,
            faults: &self.faults,
        };
        let none = HashSet::new();
        let tried = self.tried.get(&chunk).unwrap_or(&none);
        choice.parent_of(chunk, tried).map(str::to_owned)
    }

    fn patience(&self) -> Duration {
        (self.usual_time * PATIENCE).clamp(LEAST_PATIENCE, MOST_PATIENCE)
    }

    /// Returns chunks whose one request takes too long.
    fn late(&self) -> Vec<u64> {
        let patience = self.patience();
        let is_late = |request: &ChunkRequest| request.peers.len() == 1 && request.since.elapsed() > patience;
        let late = self.requests.iter().filter(|(_, request)| is_late(request));
        late.map(|(chunk, _)| *chunk).collect()
    }

    fn blame(&mut self, peer: &str, weight: u32) {
        let faults = self.faults.entry(peer.to_owned()).or_default();
        *faults = faults.saturating_add(weight);
    }

    fn learn_pace(&mut self, from: &str, took: Duration) {
        if let Some(faults) = self.faults.get_mut(from) {
            *faults = faults.saturating_sub(1);
        }
        self.usual_time = (self.usual_time * 7 + took) / 8;
        self.last_came = Instant::now();
    }
}

impl FetchTask<'_> {
    /// Fetches until the object is complete, or these peers send nothing more. The caller then tries one source.
    pub(super) async fn fill_by_chunks(
        &mut self,
        mut transfers: ChunkTransfers,
        partial: &Partial,
    ) -> Result<(), FetchFailure> {
        debug!(stoker.digest = %self.spec.digest, "taking chunks from several peers");
        if transfers.hashes.is_none() {
            self.lands_unvouched();
        }
        loop {
            if self.is_complete(partial) || transfers.last_came.elapsed() > STALL {
                break;
            }
            self.ask_for_more(&mut transfers, partial);
            self.race_the_late(&mut transfers);
            let is_over = transfers.feed.now().is_over;
            if transfers.in_flight.is_empty() && is_over && !self.may_ask(&transfers, partial) {
                break;
            }
            let stop = self.stop.clone();
            tokio::select! {
                Some(response) = transfers.in_flight.next() => self.take_response(&mut transfers, response, partial).await?,
                () = transfers.feed.changed() => {}
                () = self.needs.changed() => {}
                () = sleep(TICK) => {}
                () = stop.cancelled() => return Err(self.stopped()),
            }
        }
        for (_, span) in transfers.spans.drain() {
            span.gave_chunks();
        }
        Ok(())
    }

    /// Requests the next chunks: first those that readers wait for, then those after the frontier.
    fn ask_for_more(&self, transfers: &mut ChunkTransfers, partial: &Partial) {
        let (view, size) = (partial.view(), transfers.size);
        let first = partial.len() / CHUNK;
        let behind = (first..size.div_ceil(CHUNK)).take(usize::try_from(AHEAD).unwrap_or(usize::MAX));
        for chunk in self.needs.missing(&view, size).into_iter().chain(behind) {
            if transfers.in_flight.len() >= AT_ONCE {
                return;
            }
            if !transfers.requests.contains_key(&chunk) && !view.has_chunk(chunk, size) {
                self.ask_for(transfers, chunk);
            }
        }
    }

    fn may_ask(&self, transfers: &ChunkTransfers, partial: &Partial) -> bool {
        let chunk = partial.len() / CHUNK;
        transfers.hash_of(chunk).is_some() && transfers.parent_of(self.spec.digest.as_str(), chunk).is_some()
    }

    fn ask_for(&self, transfers: &mut ChunkTransfers, chunk: u64) {
        if transfers.hash_of(chunk).is_none() {
            return;
        }
        let Some(from) = transfers.parent_of(self.spec.digest.as_str(), chunk) else {
            // All peers have been tried and may be tried again.
            transfers.tried.remove(&chunk);
            return;
        };
        transfers.tried.entry(chunk).or_default().insert(from.clone());
        let request = transfers.requests.entry(chunk).or_insert_with(|| ChunkRequest {
            since: Instant::now(),
            peers: Vec::new(),
            enough: CancellationToken::new(),
        });
        request.peers.push(from.clone());
        let enough = request.enough.clone();
        let span = transfers
            .spans
            .entry(from.clone())
            .or_insert_with(|| SourceSpan::of_parent(&from, 0))
            .span();
        let (peers, digest, wait) = (
            self.sources.peers.clone(),
            self.spec.digest.clone(),
            transfers.patience(),
        );
        let range = chunk * CHUNK..((chunk + 1) * CHUNK).min(transfers.size);
        let began = Instant::now();
        let (limits, class) = (self.sources.limits.clone(), self.needs.class());
        let getting = async move {
            let asking = async {
                limits.pass(&Way::FromPeer, class, range.end - range.start).await;
                peers.chunk(&from, &digest, range, wait).await
            };
            let result = enough.run_until_cancelled(asking).await;
            ChunkResponse {
                chunk,
                result,
                took: began.elapsed(),
                from,
            }
        };
        transfers.in_flight.push(Box::pin(getting.instrument(span)));
    }

    /// Asks a second peer for late chunks.
    fn race_the_late(&self, transfers: &mut ChunkTransfers) {
        for chunk in transfers.late().into_iter().take(RACES) {
            if let Some(slow) = transfers
                .requests
                .get(&chunk)
                .and_then(|request| request.peers.first().cloned())
            {
                transfers.blame(&slow, 1);
            }
            self.ask_for(transfers, chunk);
        }
    }

    async fn take_response(
        &mut self,
        transfers: &mut ChunkTransfers,
        response: ChunkResponse,
        partial: &Partial,
    ) -> Result<(), FetchFailure> {
        let ChunkResponse {
            chunk,
            from,
            result,
            took,
        } = response;
        let is_last = transfers.requests.get_mut(&chunk).is_some_and(|request| {
            request.peers.retain(|peer| *peer != from);
            request.peers.is_empty()
        });
        match result {
            None => {}
            Some(Ok(bytes)) => {
                return self
                    .land_from(transfers, chunk, &from, bytes, took, partial)
                    .await;
            }
            Some(Err(error)) => {
                let has_none = error == ShareError::NotHeld
                    && transfers.hashes.is_some()
                    && transfers.seeds.contains(&from);
                transfers.blame(&from, if has_none { NOT_AGAIN } else { 1 });
                debug!(stoker.digest = %self.spec.digest, stoker.source = host_and_port(&from), chunk, because = %error, "chunk not received, asking another peer");
                self.faults.push((from, error.into()));
            }
        }
        if is_last {
            transfers.requests.remove(&chunk);
        }
        Ok(())
    }

    async fn land_from(
        &mut self,
        transfers: &mut ChunkTransfers,
        chunk: u64,
        from: &str,
        bytes: Bytes,
        took: Duration,
        partial: &Partial,
    ) -> Result<(), FetchFailure> {
        let length = bytes.len() as u64;
        let expected = transfers.hash_of(chunk);
        let landed = self.land_chunk(chunk, bytes, expected, partial).await;
        match landed {
            Ok(()) => {
                self.metrics.received(false, length);
                if let Some(request) = transfers.requests.remove(&chunk) {
                    request.enough.cancel();
                }
                transfers.tried.remove(&chunk);
                transfers.learn_pace(from, took);
                if let Some(span) = transfers.spans.get_mut(from) {
                    span.gave(length);
                }
                self.count(from, false, length);
                let is_vouched = transfers.hashes.is_some() && (chunk + 1) * CHUNK >= transfers.size;
                self.progress.send_modify(|now| {
                    now.landed = partial.len();
                    now.last_is_vouched |= is_vouched;
                });
                Ok(())
            }
            Err(LandError::WrongChunk) => {
                transfers.requests.remove(&chunk);
                transfers.blame(from, NOT_AGAIN);
                let fault = self.wrong_chunk_of(from);
                self.leave_out(from, fault);
                Ok(())
            }
            Err(LandError::Disk(error)) => Err(FetchFailure::Disk(error)),
        }
    }

    fn leave_out(&mut self, from: &str, fault: SourceError) {
        info!(
            stoker.digest = %self.spec.digest,
            stoker.source = host_and_port(from),
            stoker.source.kind = "peer",
            stoker.left = fault.word,
            stoker.side = Side::Peer.word(),
            because = %fault,
            "source abandoned, the next one continues"
        );
        self.parents.retain(|other| other != from);
        self.faults.push((from.to_owned(), fault));
    }
}
