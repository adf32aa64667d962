//! The one fetch of an object: parents in their order, then the registry, each continuing where the last broke.
//!
//! **Invariant:** only bytes whose sha256 is the digest are sealed. A parent's bytes are checked chunk by chunk
//! against BLAKE3 hashes of a parent that has proven the whole; wrong ones never land. If the whole is wrong all
//! the same, everything is thrown away and whoever gave it is left out.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use oci::Digest;
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::{Instrument as _, Span, debug, field, info, info_span, warn};
use wire::Side;

use super::blocks::{Blocks, Next};
use super::progress::{Body, Progress, Remains, Stage};
use super::{FetchError, FetchReport, Wanted};
use crate::source::{Opened, SourceError, Sources};
use crate::store::{ChunkHashes, LandError, Partial, Proven, Store};

/// Times that the registry is asked without a byte coming of it.
pub(super) const ORIGIN_TRIES: u32 = 3;
/// Times that the registry is asked at all, for one object.
const ORIGIN_TRIES_IN_ALL: u32 = 12;
/// The first pause before the registry is asked again; doubled each time.
const ORIGIN_PAUSE: Duration = Duration::from_millis(250);
/// Until a source is open: sign-in, redirects and headers, each of which has a limit of its own.
pub(super) const OPEN_LIMIT: Duration = Duration::from_secs(90);
/// Times that the object is begun at its first byte.
const TAKES: u32 = 3;

pub(super) struct Fetch<'a> {
    store: Store,
    sources: Sources,
    wanted: Arc<Wanted>,
    progress: &'a watch::Sender<Progress>,
    parents: Vec<String>,
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
}

/// Why a source was left.
enum Left {
    /// It has given all.
    Done,
    Broke(SourceError),
    WrongChunk,
    /// Not the source's fault.
    Fatal(Failure),
}

enum Failure {
    Disk(io::Error),
    Fetch(FetchError),
}

impl<'a> Fetch<'a> {
    pub(super) fn new(
        store: Store,
        sources: Sources,
        wanted: Arc<Wanted>,
        progress: &'a watch::Sender<Progress>,
    ) -> Self {
        Self {
            store,
            sources,
            progress,
            parents: wanted.parents.clone(),
            origin: wanted.origin_allowed,
            size: wanted.size,
            voucher: None,
            media_type: wanted.media_type.clone(),
            used: Vec::new(),
            faults: Vec::new(),
            report: FetchReport::default(),
            wanted,
        }
    }

    /// Fetches, proves, seals. Says how it ended; the files are closed then.
    pub(super) async fn run(mut self) -> Stage {
        for take in 0..TAKES {
            let mut partial = match self.store.partial(&self.wanted.digest).await {
                Ok(partial) => partial,
                Err(error) => return self.disk(&error, Remains::nothing()),
            };
            let resumed = partial.len();
            self.begin(take, &partial);
            match self.fill(&mut partial).await {
                Ok(()) => {}
                Err(Failure::Fetch(error)) => return self.failed(error),
                Err(Failure::Disk(error)) => return self.disk(&error, remains_of(&partial)),
            }
            let file = partial.file();
            match partial.prove().await {
                Ok(Ok(proven)) => return self.seal(proven).await,
                Ok(Err(wrong)) => {
                    let wrong = self.wrong_bytes(wrong.found);
                    warn!(error = %wrong, "thrown away");
                    if take + 1 == TAKES || !self.leave_out_the_used(resumed > 0) {
                        return self.failed(wrong);
                    }
                }
                Err(error) => {
                    drop(file);
                    return self.disk(&error, Remains::nothing());
                }
            }
        }
        self.failed(failed(&self.wanted.digest, &self.faults))
    }

    fn begin(&mut self, take: u32, partial: &Partial) {
        self.used.clear();
        self.size = self.wanted.size;
        self.progress.send_modify(|now| {
            now.take = take;
            now.body = Some(Body::Open(partial.file()));
            now.size = None;
            now.landed = partial.len();
        });
    }

    /// Until all bytes are there, right or wrong.
    async fn fill(&mut self, partial: &mut Partial) -> Result<(), Failure> {
        // A second round for parents that broke off in the middle, as a restart of theirs does.
        for _ in 0..2 {
            for parent in self.parents.clone() {
                if self.is_complete(partial) {
                    return Ok(());
                }
                self.try_parent(&parent, partial).await?;
            }
        }
        if self.is_complete(partial) {
            return Ok(());
        }
        if self.origin {
            return self.try_origin(partial).await;
        }
        Err(Failure::Fetch(failed(&self.wanted.digest, &self.faults)))
    }

    fn is_complete(&self, partial: &Partial) -> bool {
        self.size == Some(partial.len())
    }

    async fn try_parent(&mut self, parent: &str, partial: &mut Partial) -> Result<(), Failure> {
        let before = partial.len();
        let span = source_span(parent);
        let left = self.from_parent(parent, partial).instrument(span.clone()).await;
        let bytes = self.count(parent, false, partial.len() - before);
        let fault = match left {
            Left::Done => return Ok(note(&span, bytes, "done")),
            Left::Fatal(failure) => return Err(failure),
            Left::Broke(error) => error,
            Left::WrongChunk => {
                self.voucher.take_if(|(voucher, _)| voucher == parent);
                SourceError {
                    side: Side::Peer,
                    passing: false,
                    text: "a chunk had other bytes than its hash promises".to_owned(),
                }
            }
        };
        note(&span, bytes, &fault.text);
        if bytes == 0 || !fault.passing {
            self.parents.retain(|other| other != parent);
        }
        info!(stoker.source = parent, why = %fault, at = partial.len(), "source left, the next one continues");
        self.faults.push((parent.to_owned(), fault));
        Ok(())
    }

    async fn from_parent(&mut self, parent: &str, partial: &mut Partial) -> Left {
        let opening = self.sources.parent(parent, &self.wanted.digest, partial.len());
        let vouched = match timeout(OPEN_LIMIT, opening).await {
            Ok(Ok(vouched)) => vouched,
            Ok(Err(error)) => return Left::Broke(error),
            Err(_) => return Left::Broke(took_too_long()),
        };
        if let Some(expected) = self.size
            && vouched.opened.size != Some(expected)
        {
            let text = format!("it has {} bytes instead of {expected}", vouched.hashes.size());
            return Left::Broke(SourceError {
                side: Side::Peer,
                passing: false,
                text,
            });
        }
        let (_, hashes) = self.voucher.get_or_insert((parent.to_owned(), vouched.hashes));
        let hashes = hashes.clone();
        self.take(vouched.opened, Some(&hashes), partial).await
    }

    async fn try_origin(&mut self, partial: &mut Partial) -> Result<(), Failure> {
        let registry = self.wanted.registry.to_string();
        let mut fruitless = 0;
        for _ in 0..ORIGIN_TRIES_IN_ALL {
            let before = partial.len();
            let span = source_span(&registry);
            let left = self.from_origin(partial).instrument(span.clone()).await;
            let bytes = self.count(&registry, true, partial.len() - before);
            let fault = match left {
                Left::Done => return Ok(note(&span, bytes, "done")),
                Left::Fatal(failure) => return Err(failure),
                Left::Broke(fault) => fault,
                Left::WrongChunk => continue,
            };
            note(&span, bytes, &fault.text);
            fruitless = if bytes > 0 { 0 } else { fruitless + 1 };
            let hopeless = !fault.passing || fruitless >= ORIGIN_TRIES;
            self.faults.push((registry.clone(), fault));
            if hopeless {
                break;
            }
            debug!(
                stoker.source = registry,
                at = partial.len(),
                "the registry broke off and is asked again"
            );
            tokio::time::sleep(ORIGIN_PAUSE * 2_u32.pow(fruitless)).await;
        }
        Err(Failure::Fetch(failed(&self.wanted.digest, &self.faults)))
    }

    async fn from_origin(&mut self, partial: &mut Partial) -> Left {
        let origin = self.wanted.origin();
        let opening = self
            .sources
            .origin(&origin, self.wanted.kind, &self.wanted.digest, partial.len());
        let opened = match timeout(OPEN_LIMIT, opening).await {
            Ok(Ok(opened)) => opened,
            Ok(Err(error)) => return Left::Broke(error),
            Err(_) => return Left::Broke(took_too_long()),
        };
        if let (Some(told), Some(expected)) = (opened.size, self.size)
            && told != expected
        {
            return Left::Fatal(Failure::Fetch(self.wrong_size(expected, told)));
        }
        self.take(opened, None, partial).await
    }

    /// Lands what the source sends. The next block is gathered while one is written.
    async fn take(&mut self, opened: Opened, hashes: Option<&ChunkHashes>, partial: &mut Partial) -> Left {
        self.confirm(&opened);
        let mut blocks = Blocks::new(opened.pieces, partial.len(), self.size, hashes.is_some());
        let mut next = blocks.next().await;
        loop {
            let block = match next {
                Next::Block(block) => block,
                Next::Broke(error) => return Left::Broke(error),
                Next::End => {
                    self.size = Some(partial.len());
                    return Left::Done;
                }
            };
            let expected = hashes.map(|hashes| hashes.of_chunk_at(partial.len()).unwrap_or_default());
            let progress = self.progress;
            let landing = async {
                let landed = match expected {
                    Some(expected) => partial.append_chunk(block, expected).await,
                    None => partial.append(block).await.map_err(LandError::from),
                };
                progress.send_modify(|now| now.landed = partial.len());
                landed
            };
            let (landed, following) = tokio::join!(landing, blocks.next());
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

    async fn seal(&self, proven: Proven) -> Stage {
        let (file, size) = (proven.file(), proven.size());
        Span::current().record("stoker.size", size);
        self.progress.send_modify(|now| {
            now.size = Some(size);
            now.landed = size;
            now.stage = Stage::Proven;
        });
        let sealing = proven.seal(self.media_type.clone(), self.wanted.kind);
        match sealing.instrument(info_span!("seal", stoker.size = size)).await {
            Ok(_) => Stage::Sealed(self.report.clone()),
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

    /// Who gave wrong bytes is not asked again. `false` when nobody is left to ask.
    fn leave_out_the_used(&mut self, resumed: bool) -> bool {
        let used = std::mem::take(&mut self.used);
        let voucher = self.voucher.take().map(|(voucher, _)| voucher);
        let registry = self.wanted.registry.to_string();
        // Beside others it may be innocent: it gets a take of its own.
        let by_registry_alone = !resumed && used == [registry];
        self.origin = self.origin && !by_registry_alone;
        self.parents
            .retain(|parent| !used.contains(parent) && voucher.as_ref() != Some(parent));
        self.origin || !self.parents.is_empty()
    }

    fn wrong_bytes(&self, found: String) -> FetchError {
        let registry = self.wanted.registry.to_string();
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

    fn wrong_size(&self, expected: u64, told: u64) -> FetchError {
        FetchError::WrongSize {
            digest: self.wanted.digest.clone(),
            expected,
            told,
            from: self.wanted.registry.to_string(),
            side: Side::Registry,
        }
    }

    fn failed(&self, error: FetchError) -> Stage {
        info!(%error, "fetch failed");
        Stage::Failed(error, None)
    }

    fn disk(&self, error: &io::Error, remains: Remains) -> Stage {
        let error = FetchError::Disk {
            digest: self.wanted.digest.clone(),
            folder: self.store.folder().to_owned(),
            cause: error.to_string(),
        };
        warn!(%error, "readers get the rest past the disk");
        Stage::Failed(error, Some(remains))
    }
}

fn remains_of(partial: &Partial) -> Remains {
    Remains {
        file: Some(partial.file()),
        landed: partial.len(),
        hash: Some(partial.hash_so_far()),
    }
}

fn source_span(source: &str) -> Span {
    info_span!(
        "source",
        stoker.source = source,
        stoker.bytes = field::Empty,
        stoker.left = field::Empty
    )
}

fn note(span: &Span, bytes: u64, left: &str) {
    span.record("stoker.bytes", bytes).record("stoker.left", left);
}

pub(super) fn took_too_long() -> SourceError {
    SourceError {
        side: Side::Network,
        passing: true,
        text: format!("it did not answer within {} s", OPEN_LIMIT.as_secs()),
    }
}

/// All that was said, each source once with its last words; the side is that of the last source.
pub(super) fn failed(digest: &Digest, faults: &[(String, SourceError)]) -> FetchError {
    let Some((_, last)) = faults.last() else {
        return FetchError::NoSource {
            digest: digest.clone(),
            side: Side::Peer,
            said: "no peer that holds it is known, and the registry must not be asked for it".to_owned(),
        };
    };
    let mut said: Vec<String> = Vec::new();
    let mut named: Vec<&str> = Vec::new();
    for (source, fault) in faults.iter().rev() {
        if !named.contains(&source.as_str()) {
            named.push(source);
            said.insert(0, format!("{source}: {fault}"));
        }
    }
    FetchError::NoSource {
        digest: digest.clone(),
        side: last.side,
        said: said.join("; "),
    }
}
