//! Asking one source, and landing what it sends.

use std::time::Duration;

use tokio::time::timeout;
use tracing::{Instrument as _, debug, info};
use wire::Side;

use super::source_span::SourceSpan;
use super::{Failure, Fetch, Left};
use crate::fetch::FetchError;
use crate::fetch::blocks::{Blocks, Next};
use crate::fetch::faults::{OPEN_LIMIT, failed, took_too_long};
use crate::source::{Opened, SourceError, host_and_port};
use crate::store::{ChunkHashes, LandError, Partial};

/// Times that the registry is asked without a byte coming of it.
const ORIGIN_TRIES: u32 = 3;
/// Times that the registry is asked at all, for one object.
const ORIGIN_TRIES_IN_ALL: u32 = 12;
/// Its `max_connections` are in use: that is no try. The time that the lot or the reader has ends the wait.
const NO_TURN: &str = "no_turn";
/// The first pause before the registry is asked again; doubled each time.
const ORIGIN_PAUSE: Duration = Duration::from_millis(250);

impl Fetch<'_> {
    pub(super) async fn try_parent(&mut self, parent: &str, partial: &mut Partial) -> Result<(), Failure> {
        let before = partial.len();
        let told = SourceSpan::of_parent(parent, before);
        let copying = self.copy_from_parent(parent, partial);
        let left = copying.instrument(told.span()).await;
        let Some(stays) = self.left_peer(parent, &told, left, before, partial)? else {
            return Ok(());
        };
        if !stays {
            self.parents.retain(|other| other != parent);
        }
        Ok(())
    }

    /// A seed that has nothing of it yet and reads the registry for us.
    pub(super) async fn try_relay(&mut self, relay: &str, partial: &mut Partial) -> Result<(), Failure> {
        let before = partial.len();
        let told = SourceSpan::of_relay(relay, before);
        let copying = self.copy_from_relay(relay, partial);
        let left = copying.instrument(told.span()).await;
        if self.left_peer(relay, &told, left, before, partial)? == Some(false) {
            self.relays.retain(|other| other != relay);
        }
        Ok(())
    }

    /// Notes how it went with another peer. Tells whether it may be asked again; none when it has given all.
    fn left_peer(
        &mut self,
        peer: &str,
        told: &SourceSpan,
        left: Left,
        before: u64,
        partial: &Partial,
    ) -> Result<Option<bool>, Failure> {
        let bytes = self.count(peer, false, partial.len() - before);
        let fault = match left {
            Left::Done => {
                told.done(partial.len());
                return Ok(None);
            }
            Left::Fatal(failure) => {
                told.cut(partial.len(), failure.word());
                return Err(failure);
            }
            Left::Broke(error) => error,
            Left::WrongChunk => self.wrong_chunk_of(peer),
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
        Ok(Some(stays))
    }

    fn wrong_chunk_of(&mut self, parent: &str) -> SourceError {
        self.voucher.take_if(|(voucher, _)| voucher == parent);
        self.metrics.chunk_failed(host_and_port(parent));
        SourceError {
            side: Side::Peer,
            word: "wrong_chunk",
            passing: false,
            text: "a chunk had other bytes than its hash promises".to_owned(),
        }
    }

    async fn copy_from_parent(&mut self, parent: &str, partial: &mut Partial) -> Left {
        let opening = self.sources.parent(parent, &self.wanted.digest, partial.len());
        let opening = timeout(OPEN_LIMIT, opening);
        let vouched = match Self::unless_stopped(&self.stop, &self.wanted.digest, opening).await {
            Ok(Ok(Ok(vouched))) => vouched,
            Ok(Ok(Err(error))) => return Left::Broke(error),
            Ok(Err(_)) => return Left::Broke(took_too_long()),
            Err(stopped) => return Left::Fatal(stopped),
        };
        if let Some(expected) = self.size
            && vouched.opened.size != Some(expected)
        {
            return Left::Broke(other_size(vouched.hashes.size(), expected));
        }
        let (_, hashes) = self.voucher.get_or_insert((parent.to_owned(), vouched.hashes));
        let hashes = hashes.clone();
        self.take(vouched.opened, Some(&hashes), false, partial).await
    }

    async fn copy_from_relay(&mut self, relay: &str, partial: &mut Partial) -> Left {
        let origin = self.wanted.origin();
        let (kind, digest) = (self.wanted.kind, &self.wanted.digest);
        let opening = timeout(
            OPEN_LIMIT,
            self.sources.relay(relay, &origin, kind, digest, partial.len()),
        );
        let opened = match Self::unless_stopped(&self.stop, digest, opening).await {
            Ok(Ok(Ok(opened))) => opened,
            Ok(Ok(Err(error))) => return Left::Broke(error),
            Ok(Err(_)) => return Left::Broke(took_too_long()),
            Err(stopped) => return Left::Fatal(stopped),
        };
        if let (Some(told), Some(expected)) = (opened.size, self.size)
            && told != expected
        {
            return Left::Broke(other_size(told, expected));
        }
        self.take(opened, None, false, partial).await
    }

    pub(super) async fn try_origin(&mut self, partial: &mut Partial) -> Result<(), Failure> {
        let registry = self.wanted.registry.to_string();
        let (mut fruitless, mut tries) = (0, 0);
        while tries < ORIGIN_TRIES_IN_ALL {
            let before = partial.len();
            let told = SourceSpan::of_registry(&registry, before);
            let left = self.copy_from_origin(partial).instrument(told.span()).await;
            let bytes = self.count(&registry, true, partial.len() - before);
            let fault = match left {
                Left::Done => {
                    told.done(partial.len());
                    return Ok(());
                }
                Left::Fatal(failure) => {
                    told.cut(partial.len(), failure.word());
                    return Err(failure);
                }
                Left::Broke(fault) => fault,
                Left::WrongChunk => {
                    tries += 1;
                    continue;
                }
            };
            told.left(partial.len(), &fault);
            if fault.word == NO_TURN {
                tokio::time::sleep(ORIGIN_PAUSE).await;
                continue;
            }
            tries += 1;
            fruitless = if bytes > 0 { 0 } else { fruitless + 1 };
            let hopeless = !fault.passing || fruitless >= ORIGIN_TRIES;
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
            let pause = tokio::time::sleep(ORIGIN_PAUSE * 2_u32.pow(fruitless));
            Self::unless_stopped(&self.stop, &self.wanted.digest, pause).await?;
        }
        Err(Failure::Fetch(failed(&self.wanted.digest, &self.faults)))
    }

    async fn copy_from_origin(&mut self, partial: &mut Partial) -> Left {
        let origin = self.wanted.origin();
        let opening = self
            .sources
            .origin(&origin, self.wanted.kind, &self.wanted.digest, partial.len());
        let opening = timeout(OPEN_LIMIT, opening);
        let opened = match Self::unless_stopped(&self.stop, &self.wanted.digest, opening).await {
            Ok(Ok(Ok(opened))) => opened,
            Ok(Ok(Err(error))) => return Left::Broke(error),
            Ok(Err(_)) => return Left::Broke(took_too_long()),
            Err(stopped) => return Left::Fatal(stopped),
        };
        if let (Some(told), Some(expected)) = (opened.size, self.size)
            && told != expected
        {
            return Left::Fatal(Failure::Fetch(self.wrong_size(expected, told)));
        }
        self.take(opened, None, true, partial).await
    }

    /// Lands what the source sends. The next block is gathered while one is written.
    async fn take(
        &mut self,
        opened: Opened,
        hashes: Option<&ChunkHashes>,
        from_registry: bool,
        partial: &mut Partial,
    ) -> Left {
        self.confirm(&opened);
        let mut blocks = Blocks::new(opened.pieces, partial.len(), self.size, hashes.is_some());
        let (stop, digest) = (self.stop.clone(), self.wanted.digest.clone());
        let mut next = Self::unless_stopped(&stop, &digest, blocks.next()).await;
        loop {
            let block = match next {
                Ok(Next::Block(block)) => block,
                Ok(Next::Broke(error)) => return Left::Broke(error),
                Err(stopped) => return Left::Fatal(stopped),
                Ok(Next::End) => {
                    self.size = Some(partial.len());
                    return Left::Done;
                }
            };
            let expected = hashes.map(|hashes| hashes.of_chunk_at(partial.len()).unwrap_or_default());
            let (progress, metrics) = (self.progress, &self.metrics);
            let before = partial.len();
            let landing = async {
                let landed = match expected {
                    Some(expected) => partial.append_chunk(block, expected).await,
                    None => partial.append(block).await.map_err(LandError::from),
                };
                metrics.received(from_registry, partial.len() - before);
                progress.send_modify(|now| now.landed = partial.len());
                landed
            };
            let following = Self::unless_stopped(&stop, &digest, blocks.next());
            let (landed, following) = tokio::join!(landing, following);
            match landed {
                Ok(()) => next = following,
                Err(LandError::WrongChunk) => return Left::WrongChunk,
                Err(LandError::Disk(error)) => return Left::Fatal(Failure::Disk(error)),
            }
        }
    }

    /// The source answers: readers may be told the size.
    fn confirm(&mut self, opened: &Opened) {
        self.size = self.size.or(opened.size);
        if opened.media_type.is_some() && self.media_type.is_none() {
            self.media_type.clone_from(&opened.media_type);
        }
        let size = self.size;
        self.progress.send_modify(|now| now.size = size);
    }

    fn count(&mut self, source: &str, is_registry: bool, bytes: u64) -> u64 {
        self.report.add(source, is_registry, bytes);
        if bytes > 0 && !self.used.iter().any(|used| used == source) {
            self.used.push(source.to_owned());
        }
        bytes
    }

    fn wrong_size(&self, expected: u64, told: u64) -> FetchError {
        FetchError::WrongSize {
            digest: self.wanted.digest.clone(),
            expected,
            told,
            from: self.wanted.registry.to_string(),
            side: Side::Registry,
        }
    }
}

fn other_size(told: u64, expected: u64) -> SourceError {
    SourceError {
        side: Side::Peer,
        word: "wrong_size",
        passing: false,
        text: format!("it has {told} bytes instead of {expected}"),
    }
}
