//! Takes chunks from several peers at the same time, each checked against its hash.
//!
//! **Invariant:** a chunk is asked for only once its hash is known, so a wrong one is found before it lands; who gave
//! it is left out. A slow peer is raced, not waited for. Memory is bounded by the chunks that are asked for at once.

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
use super::{Failure, Fetch};
use crate::limits::Way;
use crate::source::{CrowdFeed, ShareError, SourceError, host_and_port};

/// Chunks that are asked for at one time.
const AT_ONCE: usize = 8;
/// Chunks beyond the frontier that are asked for.
const AHEAD: u64 = 24;
/// Others are asked too when a chunk takes longer than this many times what chunks take.
const PATIENCE: u32 = 4;
const LEAST_PATIENCE: Duration = Duration::from_millis(400);
const MOST_PATIENCE: Duration = Duration::from_secs(4);
/// The fault of a peer that is not asked again for this object, whatever it gave before.
const NOT_AGAIN: u32 = u32::MAX / 2;
/// Chunks that are raced for in one look.
const RACES: usize = 2;
/// How often it is looked whether a peer is too slow.
const TICK: Duration = Duration::from_millis(100);
/// Nothing has come from anybody: other ways are tried.
const STALL: Duration = Duration::from_secs(10);

/// A chunk from a peer, or why not.
struct Piece {
    chunk: u64,
    from: String,
    /// None when another peer was quicker.
    got: Option<Result<Bytes, ShareError>>,
    took: Duration,
}

/// A chunk that is asked for.
struct Asked {
    since: Instant,
    peers: Vec<String>,
    /// Once it is here, nobody else need give it.
    enough: CancellationToken,
}

/// Where chunks come from, and how that goes.
pub(super) struct Pieces {
    feed: CrowdFeed,
    seeds: Vec<String>,
    /// Of all chunks, by a peer that has proven the whole.
    hashes: Option<ChunkHashes>,
    size: u64,
    flying: FuturesUnordered<BoxFuture<'static, Piece>>,
    asked: HashMap<u64, Asked>,
    tried: HashMap<u64, HashSet<String>>,
    faults: HashMap<String, u32>,
    spans: HashMap<String, SourceSpan>,
    /// What a chunk takes.
    usual: Duration,
    last_came: Instant,
}

impl Pieces {
    pub(super) fn new(feed: CrowdFeed, seeds: Vec<String>, hashes: Option<ChunkHashes>, size: u64) -> Self {
        Self {
            feed,
            seeds,
            hashes,
            size,
            flying: FuturesUnordered::new(),
            asked: HashMap::new(),
            tried: HashMap::new(),
            faults: HashMap::new(),
            spans: HashMap::new(),
            // A guess, until the first ones have come.
            usual: Duration::from_millis(500),
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
        (self.usual * PATIENCE).clamp(LEAST_PATIENCE, MOST_PATIENCE)
    }

    /// Chunks that have been asked of one peer for too long.
    fn late(&self) -> Vec<u64> {
        let patience = self.patience();
        let is_late = |asked: &Asked| asked.peers.len() == 1 && asked.since.elapsed() > patience;
        let late = self.asked.iter().filter(|(_, asked)| is_late(asked));
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
        self.usual = (self.usual * 7 + took) / 8;
        self.last_came = Instant::now();
    }
}

impl Fetch<'_> {
    /// Until all is here, or until these peers give nothing more: then other ways are tried.
    pub(super) async fn fill_by_pieces(
        &mut self,
        mut pieces: Pieces,
        partial: &Partial,
    ) -> Result<(), Failure> {
        debug!(stoker.digest = %self.wanted.digest, "taken in pieces from several peers");
        if pieces.hashes.is_none() {
            self.lands_unvouched();
        }
        loop {
            if self.is_complete(partial) || pieces.last_came.elapsed() > STALL {
                break;
            }
            self.ask_for_more(&mut pieces, partial);
            self.race_the_late(&mut pieces);
            let is_over = pieces.feed.now().is_over;
            if pieces.flying.is_empty() && is_over && !self.may_ask(&pieces, partial) {
                break;
            }
            let stop = self.stop.clone();
            tokio::select! {
                Some(piece) = pieces.flying.next() => self.take_piece(&mut pieces, piece, partial).await?,
                () = pieces.feed.changed() => {}
                () = self.needs.changed() => {}
                () = sleep(TICK) => {}
                () = stop.cancelled() => return Err(self.stopped()),
            }
        }
        for (_, span) in pieces.spans.drain() {
            span.gave_pieces();
        }
        Ok(())
    }

    /// The next chunks: what somebody waits for, then what lies behind the frontier.
    fn ask_for_more(&self, pieces: &mut Pieces, partial: &Partial) {
        let (view, size) = (partial.view(), pieces.size);
        let first = partial.len() / CHUNK;
        let behind = (first..size.div_ceil(CHUNK)).take(usize::try_from(AHEAD).unwrap_or(usize::MAX));
        for chunk in self.needs.missing(&view, size).into_iter().chain(behind) {
            if pieces.flying.len() >= AT_ONCE {
                return;
            }
            if !pieces.asked.contains_key(&chunk) && !view.has_chunk(chunk, size) {
                self.ask_for(pieces, chunk);
            }
        }
    }

    fn may_ask(&self, pieces: &Pieces, partial: &Partial) -> bool {
        let chunk = partial.len() / CHUNK;
        pieces.hash_of(chunk).is_some() && pieces.parent_of(self.wanted.digest.as_str(), chunk).is_some()
    }

    fn ask_for(&self, pieces: &mut Pieces, chunk: u64) {
        if pieces.hash_of(chunk).is_none() {
            return;
        }
        let Some(from) = pieces.parent_of(self.wanted.digest.as_str(), chunk) else {
            // All have been tried; all may be tried again.
            pieces.tried.remove(&chunk);
            return;
        };
        pieces.tried.entry(chunk).or_default().insert(from.clone());
        let asked = pieces.asked.entry(chunk).or_insert_with(|| Asked {
            since: Instant::now(),
            peers: Vec::new(),
            enough: CancellationToken::new(),
        });
        asked.peers.push(from.clone());
        let enough = asked.enough.clone();
        let span = pieces
            .spans
            .entry(from.clone())
            .or_insert_with(|| SourceSpan::of_parent(&from, 0))
            .span();
        let (peers, digest, wait) = (
            self.sources.peers.clone(),
            self.wanted.digest.clone(),
            pieces.patience(),
        );
        let range = chunk * CHUNK..((chunk + 1) * CHUNK).min(pieces.size);
        let began = Instant::now();
        let (limits, class) = (self.sources.limits.clone(), self.needs.class());
        let getting = async move {
            let asking = async {
                limits.pass(&Way::FromPeer, class, range.end - range.start).await;
                peers.chunk(&from, &digest, range, wait).await
            };
            let got = enough.run_until_cancelled(asking).await;
            Piece {
                chunk,
                got,
                took: began.elapsed(),
                from,
            }
        };
        pieces.flying.push(Box::pin(getting.instrument(span)));
    }

    /// A second peer is asked for what takes too long.
    fn race_the_late(&self, pieces: &mut Pieces) {
        for chunk in pieces.late().into_iter().take(RACES) {
            if let Some(slow) = pieces
                .asked
                .get(&chunk)
                .and_then(|asked| asked.peers.first().cloned())
            {
                pieces.blame(&slow, 1);
            }
            self.ask_for(pieces, chunk);
        }
    }

    async fn take_piece(
        &mut self,
        pieces: &mut Pieces,
        piece: Piece,
        partial: &Partial,
    ) -> Result<(), Failure> {
        let Piece {
            chunk,
            from,
            got,
            took,
        } = piece;
        let is_last = pieces.asked.get_mut(&chunk).is_some_and(|asked| {
            asked.peers.retain(|peer| *peer != from);
            asked.peers.is_empty()
        });
        match got {
            None => {}
            Some(Ok(bytes)) => return self.land_piece(pieces, chunk, &from, bytes, took, partial).await,
            Some(Err(error)) => {
                let has_none =
                    error == ShareError::NotHeld && pieces.hashes.is_some() && pieces.seeds.contains(&from);
                pieces.blame(&from, if has_none { NOT_AGAIN } else { 1 });
                debug!(stoker.digest = %self.wanted.digest, stoker.source = host_and_port(&from), chunk, because = %error, "another peer is asked for this chunk");
                self.faults.push((from, error.into()));
            }
        }
        if is_last {
            pieces.asked.remove(&chunk);
        }
        Ok(())
    }

    async fn land_piece(
        &mut self,
        pieces: &mut Pieces,
        chunk: u64,
        from: &str,
        bytes: Bytes,
        took: Duration,
        partial: &Partial,
    ) -> Result<(), Failure> {
        let length = bytes.len() as u64;
        let expected = pieces.hash_of(chunk);
        let landed = self.land_chunk(chunk, bytes, expected, partial).await;
        match landed {
            Ok(()) => {
                self.metrics.received(false, length);
                if let Some(asked) = pieces.asked.remove(&chunk) {
                    asked.enough.cancel();
                }
                pieces.tried.remove(&chunk);
                pieces.learn_pace(from, took);
                if let Some(span) = pieces.spans.get_mut(from) {
                    span.gave(length);
                }
                self.count(from, false, length);
                let is_vouched = pieces.hashes.is_some() && (chunk + 1) * CHUNK >= pieces.size;
                self.progress.send_modify(|now| {
                    now.landed = partial.len();
                    now.last_is_vouched |= is_vouched;
                });
                Ok(())
            }
            Err(LandError::WrongChunk) => {
                pieces.asked.remove(&chunk);
                pieces.blame(from, NOT_AGAIN);
                let fault = self.wrong_chunk_of(from);
                self.leave_out(from, fault);
                Ok(())
            }
            Err(LandError::Disk(error)) => Err(Failure::Disk(error)),
        }
    }

    fn leave_out(&mut self, from: &str, fault: SourceError) {
        info!(
            stoker.digest = %self.wanted.digest,
            stoker.source = host_and_port(from),
            stoker.source.kind = "peer",
            stoker.left = fault.word,
            stoker.side = Side::Peer.word(),
            because = %fault,
            "source left, the next one continues"
        );
        self.parents.retain(|other| other != from);
        self.faults.push((from.to_owned(), fault));
    }
}
