//! Asking one source, and landing what it sends.

use std::time::Duration;

use bytes::Bytes;
use store::{CHUNK, ChunkHash, ChunkHashes, LandError, Partial};
use tokio::time::timeout;
use tracing::{Instrument as _, debug, info};
use wire::Side;

use super::chunks::ChunkTransfers;
use super::pace::Pace;
use super::source_span::SourceSpan;
use super::task::{Failure, FetchTask, other_size};
use crate::fetch::batches::{Batches, NextBatch};
use crate::fetch::faults::{OPEN_LIMIT, failed, took_too_long};
use crate::limits::Way;
use crate::source::{CrowdFeed, OpenSource, SourceError, host_and_port};

/// An object of which no more than this is missing comes from one source.
const GATHERED_FROM: u64 = 4 * CHUNK;
/// The hash of a chunk comes with its bytes, or a moment later.
const HASH_LIMIT: Duration = Duration::from_secs(15);
/// Times that the registry is asked without a byte coming of it.
const REGISTRY_TRIES: u32 = 3;
/// Times that the registry is asked at all, for one object.
const REGISTRY_TRIES_IN_ALL: u32 = 12;
/// Its `max_connections` are in use: that is no try. The time that the lot or the reader has ends the wait.
const NO_CONNECTION: &str = "no_turn";
/// The first pause before the registry is asked again; doubled each time.
const REGISTRY_PAUSE: Duration = Duration::from_millis(250);

/// Why a source was left.
enum SourceEnd {
    /// It has given all.
    Done,
    Broke(SourceError),
    WrongChunk,
    /// Others fetch it too: chunks are taken from all of them.
    Gather(Box<ChunkTransfers>),
    /// Somebody waits for a part that lies elsewhere.
    Elsewhere,
    /// Not the source's fault.
    Fatal(Failure),
}

impl FetchTask<'_> {
    pub(super) async fn try_parent(&mut self, parent: &str, partial: &Partial) -> Result<(), Failure> {
        let before = partial.len();
        let told = SourceSpan::of_parent(parent, before);
        let copying = self.copy_from_parent(parent, partial);
        let left = copying.instrument(told.span()).await;
        let is_slow = matches!(&left, SourceEnd::Broke(fault) if fault.word == "slow");
        if self.left_peer(parent, &told, left, before, partial).await? == Retry::NextSource {
            self.parents.retain(|other| other != parent);
            if is_slow {
                self.relays.retain(|other| other != parent);
                self.slow.push(parent.to_owned());
            }
        }
        Ok(())
    }

    /// A seed that has nothing of it yet and reads the registry for us.
    pub(super) async fn try_relay(&mut self, relay: &str, partial: &Partial) -> Result<(), Failure> {
        let before = partial.len();
        let told = SourceSpan::of_relay(relay, before);
        let copying = self.copy_from_relay(relay, partial);
        let left = copying.instrument(told.span()).await;
        if self.left_peer(relay, &told, left, before, partial).await? == Retry::NextSource {
            self.relays.retain(|other| other != relay);
        }
        Ok(())
    }

    /// Notes how it went with another peer, and goes on with many where others fetch too.
    async fn left_peer(
        &mut self,
        peer: &str,
        told: &SourceSpan,
        left: SourceEnd,
        before: u64,
        partial: &Partial,
    ) -> Result<Retry, Failure> {
        let bytes = self.count(peer, false, partial.len() - before);
        let fault = match left {
            SourceEnd::Done => {
                told.done(partial.len());
                return Ok(Retry::SameSource);
            }
            SourceEnd::Gather(transfers) => {
                told.cut(partial.len(), "gather");
                self.fill_by_chunks(*transfers, partial).await?;
                // Where many peers do not do, each is asked by itself.
                self.may_gather = false;
                self.is_interrupted = !self.is_complete(partial);
                return Ok(Retry::SameSource);
            }
            SourceEnd::Elsewhere => {
                told.cut(partial.len(), "elsewhere");
                self.is_interrupted = true;
                return Ok(Retry::SameSource);
            }
            SourceEnd::Fatal(failure) => {
                told.cut(partial.len(), failure.word());
                return Err(failure);
            }
            SourceEnd::Broke(error) => error,
            SourceEnd::WrongChunk => self.wrong_chunk_of(peer),
        };
        told.left(partial.len(), &fault);
        info!(
            stoker.digest = %self.wanted.digest,
            stoker.source = host_and_port(peer),
            stoker.source.kind = "peer",
            stoker.left = fault.word,
            stoker.side = fault.side.word(),
            stoker.bytes = bytes,
            because = %fault,
            "source left, the next one continues"
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
            .parent(parent, &self.wanted.digest, &self.wanted.location, from);
        let opening = timeout(OPEN_LIMIT, opening);
        let vouched = match Self::unless_stopped(&self.stop, &self.wanted.digest, opening).await {
            Ok(Ok(Ok(vouched))) => vouched,
            Ok(Ok(Err(error))) => return SourceEnd::Broke(error),
            Ok(Err(_)) => return SourceEnd::Broke(took_too_long()),
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
        let at = self.wanted.registry_source();
        let (kind, digest) = (self.wanted.kind, &self.wanted.digest);
        let from = chunk_begins(partial.len());
        let opening = self.sources.relay(relay, &at, kind, digest, from);
        let opening = timeout(OPEN_LIMIT, opening);
        let opened = match Self::unless_stopped(&self.stop, digest, opening).await {
            Ok(Ok(Ok(opened))) => opened,
            Ok(Ok(Err(error))) => return SourceEnd::Broke(error),
            Ok(Err(_)) => return SourceEnd::Broke(took_too_long()),
            Err(stopped) => return SourceEnd::Fatal(stopped),
        };
        if let (Some(told), Some(expected)) = (opened.size, self.size)
            && told != expected
        {
            return SourceEnd::Broke(other_size(told, expected));
        }
        let flow = Flow {
            proof: Proof::Coming,
            from: Some(relay.to_owned()),
        };
        self.take(opened, from, flow, partial).await
    }

    pub(super) async fn try_registry(&mut self, partial: &Partial) -> Result<(), Failure> {
        let registry = self.wanted.location.registry().to_string();
        let (mut fruitless, mut tries) = (0, 0);
        while tries < REGISTRY_TRIES_IN_ALL {
            let before = partial.len();
            let told = SourceSpan::of_registry(&registry, before);
            let left = self.copy_from_registry(partial).instrument(told.span()).await;
            let bytes = self.count(&registry, true, partial.len() - before);
            let fault = match left {
                SourceEnd::Done => {
                    told.done(partial.len());
                    return Ok(());
                }
                SourceEnd::Fatal(failure) => {
                    told.cut(partial.len(), failure.word());
                    return Err(failure);
                }
                SourceEnd::Broke(fault) => fault,
                SourceEnd::Elsewhere => {
                    told.cut(partial.len(), "elsewhere");
                    self.is_interrupted = true;
                    return Ok(());
                }
                SourceEnd::WrongChunk | SourceEnd::Gather(_) => {
                    tries += 1;
                    continue;
                }
            };
            told.left(partial.len(), &fault);
            if fault.word == NO_CONNECTION {
                tokio::time::sleep(REGISTRY_PAUSE).await;
                continue;
            }
            tries += 1;
            fruitless = if bytes > 0 { 0 } else { fruitless + 1 };
            let hopeless = !fault.passing || fruitless >= REGISTRY_TRIES;
            debug!(
                stoker.digest = %self.wanted.digest,
                stoker.source = registry,
                stoker.source.kind = "registry",
                stoker.left = fault.word,
                stoker.side = fault.side.word(),
                stoker.bytes = bytes,
                because = %fault,
                is_asked_again = !hopeless,
                "the registry broke off"
            );
            self.faults.push((registry.clone(), fault));
            if hopeless {
                break;
            }
            let pause = tokio::time::sleep(REGISTRY_PAUSE * 2_u32.pow(fruitless));
            Self::unless_stopped(&self.stop, &self.wanted.digest, pause).await?;
        }
        Err(Failure::Fetch(failed(&self.wanted.digest, &self.faults)))
    }

    async fn copy_from_registry(&mut self, partial: &Partial) -> SourceEnd {
        let (at_registry, from) = (self.wanted.registry_source(), partial.len());
        let opening = self
            .sources
            .registry(&at_registry, self.wanted.kind, &self.wanted.digest, from);
        let opening = timeout(OPEN_LIMIT, opening);
        let opened = match Self::unless_stopped(&self.stop, &self.wanted.digest, opening).await {
            Ok(Ok(Ok(opened))) => opened,
            Ok(Ok(Err(error))) => return SourceEnd::Broke(error),
            Ok(Err(_)) => return SourceEnd::Broke(took_too_long()),
            Err(stopped) => return SourceEnd::Fatal(stopped),
        };
        if let (Some(told), Some(expected)) = (opened.size, self.size)
            && told != expected
        {
            return SourceEnd::Fatal(Failure::Fetch(self.wrong_size(expected, told)));
        }
        let flow = Flow {
            proof: Proof::None,
            from: None,
        };
        self.take(opened, from, flow, partial).await
    }

    /// Lands what the source sends. The next block is gathered while one is written.
    async fn take(&mut self, opened: OpenSource, from: u64, flow: Flow, partial: &Partial) -> SourceEnd {
        self.confirm(&opened);
        if let Err(failure) = self.check_room().await {
            return SourceEnd::Fatal(failure);
        }
        let way = match &flow.from {
            Some(_) => Way::FromPeer,
            None => Way::FromRegistry(self.wanted.location.registry().clone()),
        };
        if !matches!(flow.proof, Proof::Vouched(_)) {
            self.lands_unvouched();
        }
        let opened = self.paced(opened, way);
        let mut at = from;
        let mut feed = self.listen(&flow, partial);
        let by_chunks = matches!(flow.proof, Proof::Vouched(_)) || feed.is_some();
        let mut blocks = Batches::new(opened.stream, at, self.size, by_chunks);
        let mut pace = self.may_be_left_for_the_registry(&flow).then(Pace::begin);
        let (stop, digest) = (self.stop.clone(), self.wanted.digest.clone());
        let mut next = Self::unless_stopped(&stop, &digest, blocks.next()).await;
        loop {
            let block = match next {
                Ok(NextBatch::Batch(block)) => block,
                Ok(NextBatch::Broke(error)) => return SourceEnd::Broke(error),
                Err(stopped) => return SourceEnd::Fatal(stopped),
                Ok(NextBatch::End) => {
                    self.size = Some(partial.len());
                    return SourceEnd::Done;
                }
            };
            let length = block.len() as u64;
            let expected = match expected_at(at, &flow.proof, feed.as_mut()).await {
                Ok(expected) => expected,
                Err(untold) => return SourceEnd::Broke(untold),
            };
            let landing = self.land(block, at, expected, &flow, partial);
            let following = Self::unless_stopped(&stop, &digest, blocks.next());
            let (landed, following) = tokio::join!(landing, following);
            at += length;
            match landed {
                Ok(()) => next = following,
                Err(LandError::WrongChunk) => return SourceEnd::WrongChunk,
                Err(LandError::Disk(error)) => return SourceEnd::Fatal(Failure::Disk(error)),
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
        block: Bytes,
        at: u64,
        expected: Option<ChunkHash>,
        flow: &Flow,
        partial: &Partial,
    ) -> Result<(), LandError> {
        let length = block.len() as u64;
        let landing = block.clone();
        if expected.is_some() {
            self.land_chunk(at / CHUNK, landing, expected, partial).await?;
        } else {
            self.room_for(&landing).await?;
            partial.append_at(at, landing).await?;
        }
        self.metrics.received(flow.from.is_none(), length);
        self.progress.send_modify(|now| {
            now.landed = partial.len();
            now.recent = Some((at, block));
        });
        Ok(())
    }

    /// The source answers: readers may be told the size.
    fn confirm(&mut self, opened: &OpenSource) {
        self.size = self.size.or(opened.size);
        if opened.media_type.is_some() && self.media_type.is_none() {
            self.media_type.clone_from(&opened.media_type);
        }
        let size = self.size;
        self.progress.send_modify(|now| now.size = size);
    }
}

/// Not asked again for this object before the registry was, also not to relay it.
fn too_slow() -> SourceError {
    SourceError {
        side: Side::Network,
        word: "slow",
        passing: false,
        text: "it gave less than 2 MB/s".to_owned(),
    }
}

/// Whether a source may be asked again.
#[derive(PartialEq, Eq)]
enum Retry {
    SameSource,
    NextSource,
}

/// What tells whether a chunk is right, before the whole does.
enum Proof {
    /// Hashes of a peer that has proven the whole.
    Vouched(ChunkHashes),
    /// Hashes of the seed that reads the registry, as it gets there.
    Coming,
    None,
}

/// A stream of an object's bytes, one after the other.
struct Flow {
    proof: Proof,
    /// The peer that it comes from; none is the registry.
    from: Option<String>,
}

impl FetchTask<'_> {
    /// A peer that has all of it is no better than the registry when it is very slow, unless that is how fast transfers
    /// are meant to be. A relay may be slow because the registry is.
    fn may_be_left_for_the_registry(&self, flow: &Flow) -> bool {
        let limits = self.sources.limits.current();
        let is_limited = limits.incoming.is_some() || limits.outgoing.is_some();
        matches!(flow.proof, Proof::Vouched(_)) && self.registry_allowed && !is_limited
    }

    /// Of a large object it is heard who else fetches it; of what a seed reads for us, what it should be.
    fn listen(&self, flow: &Flow, partial: &Partial) -> Option<CrowdFeed> {
        let from = flow.from.as_ref()?;
        let size = self.size?;
        let is_large = self.may_gather && size.saturating_sub(partial.len()) > GATHERED_FROM;
        // Of a single chunk nothing is given out before the whole is proven.
        let is_unproven = matches!(flow.proof, Proof::Coming) && size > CHUNK;
        (is_large || is_unproven).then(|| {
            CrowdFeed::open(
                &self.sources.peers,
                from,
                &self.wanted.digest,
                &self.wanted.location,
            )
        })
    }

    /// Others fetch the object too, or have it.
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

/// What the chunk at `at` has to be; none when nobody tells.
async fn expected_at(
    at: u64,
    proof: &Proof,
    feed: Option<&mut CrowdFeed>,
) -> Result<Option<ChunkHash>, SourceError> {
    match (proof, feed) {
        (Proof::Vouched(hashes), _) => Ok(Some(hashes.of_chunk_at(at).unwrap_or_default())),
        (Proof::Coming, Some(feed)) => match timeout(HASH_LIMIT, feed.hash_of(at / CHUNK)).await {
            Ok(told) => Ok(told),
            Err(_) => Err(untold()),
        },
        _ => Ok(None),
    }
}

/// The bytes are here, and the seed does not say what they should be.
fn untold() -> SourceError {
    SourceError {
        side: Side::Peer,
        word: "no_hash",
        passing: true,
        text: format!("it did not tell a chunk's hash for {} s", HASH_LIMIT.as_secs()),
    }
}
