//! Reads one source as a stream and lands its bytes.

use std::time::Duration;

use bytes::Bytes;
use store::{CHUNK, ChunkHash, ChunkHashes, LandError, Partial};
use tokio::time::{Instant, timeout};
use tracing::{Instrument as _, debug, info};
use wire::Side;

use super::chunks::ChunkTransfers;
use super::pace::Pace;
use super::source_span::SourceSpan;
use super::task::{FetchFailure, FetchTask, other_size};
use super::turns::Turns;
use crate::fetch::batches::{Batches, NextBatch};
use crate::fetch::faults::{failed, note_fault, took_too_long};
use crate::fetch::patience::{NextTry, Patience};
use crate::limits::Way;
use crate::source::{CrowdFeed, OPEN_LIMIT, OpenSource, RestOf, SourceError, host_and_port};

/// An object with no more missing bytes than this comes from one source.
const GATHERED_FROM: u64 = 4 * CHUNK;
/// Limit for the hash of a chunk, which arrives with its bytes or shortly after.
const HASH_LIMIT: Duration = Duration::from_secs(15);
/// The pause before the next request for a turn at the registry.
const TURN_PAUSE: Duration = Duration::from_millis(250);

/// How reading from a source ended.
enum SourceEnd {
    /// The source has sent everything.
    Done,
    Broke(SourceError),
    WrongChunk,
    /// Other peers fetch the object too: fetch chunks from all of them.
    Gather(Box<ChunkTransfers>),
    /// A reader waits for a part at another offset.
    Elsewhere,
    /// Not the source's fault.
    Fatal(FetchFailure),
}

impl FetchTask<'_> {
    pub(super) async fn try_parent(&mut self, parent: &str, partial: &Partial) -> Result<(), FetchFailure> {
        let before = partial.len();
        let span = SourceSpan::of_parent(parent, before);
        let copying = self.copy_from_parent(parent, partial);
        let left = copying.instrument(span.span()).await;
        let is_slow = matches!(&left, SourceEnd::Broke(fault) if fault.word == "slow");
        if self.finish_peer(parent, &span, left, before, partial).await? == Retry::NextSource {
            self.parents.retain(|other| other != parent);
            if is_slow {
                self.relays.retain(|other| other != parent);
                self.slow.push(parent.to_owned());
            }
        }
        Ok(())
    }

    /// Reads from a seed that relays the object from the registry.
    pub(super) async fn try_relay(&mut self, relay: &str, partial: &Partial) -> Result<(), FetchFailure> {
        let before = partial.len();
        let span = SourceSpan::of_relay(relay, before);
        let copying = self.copy_from_relay(relay, partial);
        let left = copying.instrument(span.span()).await;
        if self.finish_peer(relay, &span, left, before, partial).await? == Retry::NextSource {
            self.relays.retain(|other| other != relay);
        }
        Ok(())
    }

    /// Records how reading from a peer ended. Continues with several peers if others fetch the object too.
    async fn finish_peer(
        &mut self,
        peer: &str,
        span: &SourceSpan,
        left: SourceEnd,
        before: u64,
        partial: &Partial,
    ) -> Result<Retry, FetchFailure> {
        let bytes = self.count(peer, false, partial.len() - before);
        let fault = match left {
            SourceEnd::Done => {
                span.done(partial.len());
                return Ok(Retry::SameSource);
            }
            SourceEnd::Gather(transfers) => {
                span.cut(partial.len(), "gather");
                self.fill_by_chunks(*transfers, partial).await?;
                // If several peers together did not complete it, they are read one by one.
                self.may_gather = false;
                self.is_interrupted = !self.is_complete(partial);
                return Ok(Retry::SameSource);
            }
            SourceEnd::Elsewhere => {
                span.cut(partial.len(), "elsewhere");
                self.is_interrupted = true;
                return Ok(Retry::SameSource);
            }
            SourceEnd::Fatal(failure) => {
                span.cut(partial.len(), failure.word());
                return Err(failure);
            }
            SourceEnd::Broke(error) => error,
            SourceEnd::WrongChunk => self.wrong_chunk_of(peer),
        };
        span.abandoned(partial.len(), &fault);
        info!(
            stoker.digest = %self.spec.digest,
            stoker.source = host_and_port(peer),
            stoker.source.kind = "peer",
            stoker.left = fault.word,
            stoker.side = fault.side.word(),
            stoker.bytes = bytes,
            because = %fault,
            "source abandoned, the next one continues"
        );
        let stays = bytes > 0 && fault.passing;
        self.faults.push((peer.to_owned(), fault));
        Ok(if stays {
            Retry::SameSource
        } else {
            Retry::NextSource
        })
    }

    async fn copy_from_parent(&mut self, parent: &str, partial: &Partial) -> SourceEnd {
        let from = chunk_begins(partial.len());
        let opening = self
            .sources
            .parent(parent, &self.spec.digest, &self.spec.location, from);
        let opening = timeout(OPEN_LIMIT, opening);
        let vouched = match Self::unless_stopped(&self.stop, &self.spec.digest, opening).await {
            Ok(Ok(Ok(vouched))) => vouched,
            Ok(Ok(Err(error))) => return SourceEnd::Broke(error),
            Ok(Err(_)) => return SourceEnd::Broke(took_too_long(OPEN_LIMIT)),
            Err(stopped) => return SourceEnd::Fatal(stopped),
        };
        if let Some(expected) = self.size
            && vouched.opened.size != Some(expected)
        {
            return SourceEnd::Broke(other_size(vouched.hashes.size(), expected));
        }
        let (_, hashes) = self.voucher.get_or_insert((parent.to_owned(), vouched.hashes));
        let hashes = hashes.clone();
        let flow = Flow {
            proof: Proof::Vouched(hashes),
            from: Some(parent.to_owned()),
        };
        self.take(vouched.opened, from, flow, partial).await
    }

    async fn copy_from_relay(&mut self, relay: &str, partial: &Partial) -> SourceEnd {
        let at = self.spec.registry_source();
        let (kind, digest) = (self.spec.kind, &self.spec.digest);
        let from = chunk_begins(partial.len());
        let opening = self.sources.relay(relay, &at, kind, digest, from);
        let limit = self.sources.open_limit(&self.spec.location);
        let opening = timeout(limit, opening);
        let opened = match Self::unless_stopped(&self.stop, digest, opening).await {
            Ok(Ok(Ok(opened))) => opened,
            Ok(Ok(Err(error))) => return SourceEnd::Broke(error),
            Ok(Err(_)) => return SourceEnd::Broke(took_too_long(limit)),
            Err(stopped) => return SourceEnd::Fatal(stopped),
        };
        if let (Some(claimed), Some(expected)) = (opened.size, self.size)
            && claimed != expected
        {
            return SourceEnd::Broke(other_size(claimed, expected));
        }
        let flow = Flow {
            proof: Proof::Coming,
            from: Some(relay.to_owned()),
        };
        self.take(opened, from, flow, partial).await
    }

    pub(super) async fn try_registry(&mut self, partial: &Partial) -> Result<(), FetchFailure> {
        let registry = self.spec.location.registry().to_string();
        let (mut patience, mut turns) = (self.patience(), Turns::default());
        loop {
            let before = partial.len();
            let span = SourceSpan::of_registry(&registry, before);
            let left = self.copy_from_registry(partial).instrument(span.span()).await;
            let bytes = self.count(&registry, true, partial.len() - before);
            let fault = match left {
                SourceEnd::Done => {
                    span.done(partial.len());
                    return Ok(());
                }
                SourceEnd::Fatal(failure) => {
                    span.cut(partial.len(), failure.word());
                    return Err(failure);
                }
                SourceEnd::Broke(fault) => fault,
                SourceEnd::Elsewhere => {
                    span.cut(partial.len(), "elsewhere");
                    self.is_interrupted = true;
                    return Ok(());
                }
                // A registry sends no hashes and knows no other peers.
                SourceEnd::WrongChunk | SourceEnd::Gather(_) => break,
            };
            span.abandoned(partial.len(), &fault);
            let next = next_try(&mut patience, &mut turns, &fault, bytes);
            debug!(
                stoker.digest = %self.spec.digest,
                stoker.source = registry,
                stoker.source.kind = "registry",
                stoker.left = fault.word,
                stoker.side = fault.side.word(),
                stoker.bytes = bytes,
                because = %fault,
                next = ?next,
                "registry transfer broke off"
            );
            note_fault(&mut self.faults, registry.clone(), fault);
            let NextTry::After(pause) = next else { break };
            Self::unless_stopped(&self.stop, &self.spec.digest, tokio::time::sleep(pause)).await?;
        }
        Err(FetchFailure::Fetch(failed(&self.spec.digest, &self.faults)))
    }

    async fn copy_from_registry(&mut self, partial: &Partial) -> SourceEnd {
        let (at_registry, from) = (self.spec.registry_source(), partial.len());
        let rest = RestOf {
            from,
            size: self.size,
        };
        let opening = self
            .sources
            .registry(&at_registry, self.spec.kind, &self.spec.digest, rest);
        let limit = self.sources.open_limit(&self.spec.location);
        let opening = timeout(limit, opening);
        let opened = match Self::unless_stopped(&self.stop, &self.spec.digest, opening).await {
            Ok(Ok(Ok(opened))) => opened,
            Ok(Ok(Err(error))) => return SourceEnd::Broke(error),
            Ok(Err(_)) => return SourceEnd::Broke(took_too_long(limit)),
            Err(stopped) => return SourceEnd::Fatal(stopped),
        };
        if let (Some(claimed), Some(expected)) = (opened.size, self.size)
            && claimed != expected
        {
            return SourceEnd::Fatal(FetchFailure::Fetch(self.wrong_size(expected, claimed)));
        }
        let flow = Flow {
            proof: Proof::None,
            from: None,
        };
        self.take(opened, from, flow, partial).await
    }

    /// Lands what the source sends. The next batch is gathered while one is written.
    async fn take(&mut self, opened: OpenSource, from: u64, flow: Flow, partial: &Partial) -> SourceEnd {
        self.confirm(&opened);
        if let Err(failure) = self.check_room().await {
            return SourceEnd::Fatal(failure);
        }
        let way = match &flow.from {
            Some(_) => Way::FromPeer,
            None => Way::FromRegistry(self.spec.location.registry().clone()),
        };
        if !matches!(flow.proof, Proof::Vouched(_)) {
            self.lands_unvouched();
        }
        let opened = self.paced(opened, way);
        let mut at = from;
        let mut feed = self.open_feed(&flow, partial);
        let by_chunks = matches!(flow.proof, Proof::Vouched(_)) || feed.is_some();
        let mut batches = Batches::new(opened.stream, at, self.size, by_chunks);
        let mut pace = self.may_be_left_for_the_registry(&flow).then(Pace::begin);
        let (stop, digest) = (self.stop.clone(), self.spec.digest.clone());
        let mut next = Self::unless_stopped(&stop, &digest, batches.next()).await;
        loop {
            let batch = match next {
                Ok(NextBatch::Batch(batch)) => batch,
                Ok(NextBatch::Broke(error)) => return SourceEnd::Broke(error),
                Err(stopped) => return SourceEnd::Fatal(stopped),
                Ok(NextBatch::End) => {
                    self.size = Some(partial.len());
                    return SourceEnd::Done;
                }
            };
            let length = batch.len() as u64;
            let expected = match expected_at(at, &flow.proof, feed.as_mut()).await {
                Ok(expected) => expected,
                Err(missing) => return SourceEnd::Broke(missing),
            };
            let landing = self.land(batch, at, expected, &flow, partial);
            let following = Self::unless_stopped(&stop, &digest, batches.next());
            let (landed, following) = tokio::join!(landing, following);
            at += length;
            match landed {
                Ok(()) => next = following,
                Err(LandError::WrongChunk) => return SourceEnd::WrongChunk,
                Err(LandError::Disk(error)) => return SourceEnd::Fatal(FetchFailure::Disk(error)),
            }
            if self.is_wanted_elsewhere(partial) {
                return SourceEnd::Elsewhere;
            }
            if pace.as_mut().is_some_and(|pace| pace.is_too_slow(length)) {
                return SourceEnd::Broke(too_slow());
            }
            if let Some(transfers) = self.gather(&mut feed, &flow, partial) {
                return SourceEnd::Gather(Box::new(transfers));
            }
        }
    }

    async fn land(
        &self,
        batch: Bytes,
        at: u64,
        expected: Option<ChunkHash>,
        flow: &Flow,
        partial: &Partial,
    ) -> Result<(), LandError> {
        let length = batch.len() as u64;
        let landing = batch.clone();
        if expected.is_some() {
            self.land_chunk(at / CHUNK, landing, expected, partial).await?;
        } else {
            self.room_for(&landing).await?;
            partial.append_at(at, landing).await?;
        }
        self.metrics.received(flow.from.is_none(), length);
        self.progress.send_modify(|now| {
            now.landed = partial.len();
            now.recent = Some((at, batch));
        });
        Ok(())
    }

    /// The source answered: readers may see the size.
    fn confirm(&mut self, opened: &OpenSource) {
        self.size = self.size.or(opened.size);
        if opened.media_type.is_some() && self.media_type.is_none() {
            self.media_type.clone_from(&opened.media_type);
        }
        let size = self.size;
        self.progress.send_modify(|now| {
            now.size = size;
            now.is_open = true;
        });
    }
}

/// The peer is used again for this object, also as a relay, only after the registry was tried.
fn too_slow() -> SourceError {
    SourceError {
        side: Side::Network,
        word: "slow",
        passing: false,
        text: "it sent less than 2 MB/s".to_owned(),
    }
}

/// Returns what follows a try at the registry. A wait for a turn is no try.
pub(super) fn next_try(
    patience: &mut Patience,
    turns: &mut Turns,
    fault: &SourceError,
    bytes: u64,
) -> NextTry {
    let now = Instant::now();
    turns.landed(bytes);
    if turns.waits_on(fault, now) {
        return NextTry::After(TURN_PAUSE);
    }
    patience.after(bytes, fault.passing, now)
}

/// The next source.
#[derive(PartialEq, Eq)]
enum Retry {
    SameSource,
    NextSource,
}

/// How a chunk is checked before the whole is here.
enum Proof {
    /// By the hashes of a peer that has proven the whole.
    Vouched(ChunkHashes),
    /// By the hashes of the seed that relays it, as they come.
    Coming,
    None,
}

/// Where a stream comes from and how it is checked.
struct Flow {
    proof: Proof,
    /// The peer, or `None` for the registry.
    from: Option<String>,
}

impl FetchTask<'_> {
    /// Whether the registry may replace this peer when it is very slow. Not with limits set: slow transfers are
    /// intended then. Not for a relay: it may be slow because the registry is.
    fn may_be_left_for_the_registry(&self, flow: &Flow) -> bool {
        let limits = self.sources.limits.current();
        let is_limited = limits.incoming.is_some() || limits.outgoing.is_some();
        matches!(flow.proof, Proof::Vouched(_)) && self.registry_allowed && !is_limited
    }

    /// Opens the seed's feed: of a large object, for the peers that fetch it too; of a relayed one, for the
    /// hashes.
    fn open_feed(&self, flow: &Flow, partial: &Partial) -> Option<CrowdFeed> {
        let from = flow.from.as_ref()?;
        let size = self.size?;
        let is_large = self.may_gather && size.saturating_sub(partial.len()) > GATHERED_FROM;
        // Nothing of a single chunk is given out before the whole is proven.
        let is_unproven = matches!(flow.proof, Proof::Coming) && size > CHUNK;
        (is_large || is_unproven)
            .then(|| CrowdFeed::open(&self.sources.peers, from, &self.spec.digest, &self.spec.location))
    }

    /// Starts to take chunks from several peers if others fetch or hold the object.
    fn gather(&self, feed: &mut Option<CrowdFeed>, flow: &Flow, partial: &Partial) -> Option<ChunkTransfers> {
        let (from, size) = (flow.from.as_ref()?, self.size?);
        let is_crowd = !feed.as_ref()?.now().siblings.is_empty();
        let hashes = match &flow.proof {
            Proof::Vouched(hashes) => Some(hashes),
            Proof::Coming | Proof::None => None,
        };
        let several = hashes.is_some() && self.parents.len() > 1;
        let is_large = size.saturating_sub(partial.len()) > GATHERED_FROM;
        if !(is_crowd || several) || !is_large || !self.may_gather {
            return None;
        }
        let mut seeds = vec![from.clone()];
        if several {
            seeds.extend(self.parents.iter().filter(|parent| *parent != from).cloned());
        }
        Some(ChunkTransfers::new(feed.take()?, seeds, hashes.cloned(), size))
    }
}

fn chunk_begins(at: u64) -> u64 {
    at / CHUNK * CHUNK
}

/// The hash that the chunk at `at` must have, if a peer says it.
async fn expected_at(
    at: u64,
    proof: &Proof,
    feed: Option<&mut CrowdFeed>,
) -> Result<Option<ChunkHash>, SourceError> {
    match (proof, feed) {
        (Proof::Vouched(hashes), _) => Ok(Some(hashes.of_chunk_at(at).unwrap_or_default())),
        (Proof::Coming, Some(feed)) => match timeout(HASH_LIMIT, feed.hash_of(at / CHUNK)).await {
            Ok(hash) => Ok(hash),
            Err(_) => Err(hash_missing()),
        },
        _ => Ok(None),
    }
}

/// The bytes are here, but the seed did not send their hash.
fn hash_missing() -> SourceError {
    SourceError {
        side: Side::Peer,
        word: "no_hash",
        passing: true,
        text: format!("it did not send a chunk's hash within {} s", HASH_LIMIT.as_secs()),
    }
}
