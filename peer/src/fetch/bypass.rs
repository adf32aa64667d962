//! Streams an object without the disk: when the disk is full, each reader still gets its bytes from a source of
//! its own.
//!
//! **Invariant:** as with a fetch on disk, the last chunk is held back until the digest of the whole is proven.
//! The hash continues from the landed bytes, and the rest is fetched.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use oci::{Digest, DigestHasher};
use store::{last_chunk_begins, read_some};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tracing::{Span, field, info_span};

use super::error::FetchError;
use super::faults::{cut_short, failed, note_fault, took_too_long};
use super::fetches::Fetches;
use super::patience::{NextTry, Patience};
use super::progress::Remains;
use super::spec::FetchSpec;
use crate::source::{OpenSource, RestOf, SourceError};
use crate::spans::mark_failed;

/// Reads that may wait for a slow reader.
const AHEAD: usize = 8;

/// Bytes, then `None` at the end. A channel that closes without it was cut off.
pub(super) type BypassStream = mpsc::Receiver<Result<Option<Bytes>, FetchError>>;

#[derive(Clone)]
pub(super) struct Bypass {
    fetches: Fetches,
    spec: Arc<FetchSpec>,
}

/// The reader has left.
struct ReaderLeft;

enum BypassEnd {
    ReaderLeft,
    Failed(FetchError),
}

impl From<ReaderLeft> for BypassEnd {
    fn from(_: ReaderLeft) -> Self {
        Self::ReaderLeft
    }
}

impl From<FetchError> for BypassEnd {
    fn from(error: FetchError) -> Self {
        Self::Failed(error)
    }
}

impl Bypass {
    pub(super) fn new(fetches: Fetches, spec: Arc<FetchSpec>) -> Self {
        Self { fetches, spec }
    }

    /// The size by the first source that answers.
    pub(super) async fn size(&self) -> Result<u64, FetchError> {
        let mut faults = Vec::new();
        let mut patience = self.patience();
        for source in self.sources() {
            let fault = match self.open(source.as_deref(), (0, None)).await {
                Ok(OpenSource { size: Some(size), .. }) => return Ok(size),
                Ok(_) => no_size(),
                Err(fault) => fault,
            };
            let next = next_try(&mut patience, source.as_deref(), &fault, 0);
            note_fault(&mut faults, self.name(source.as_deref()), fault);
            if !waits(next).await {
                break;
            }
        }
        Err(failed(&self.spec.digest, &faults))
    }

    /// Streams the bytes of `range`: landed bytes from the file, the rest from a source.
    pub(super) fn read(&self, remains: Remains, range: Range<u64>, told: Option<u64>) -> BypassStream {
        let (out, stream) = mpsc::channel(AHEAD);
        let (bypass, span) = (self.clone(), span_of(&self.spec));
        let work = async move {
            let ended = BypassReader {
                bypass: &bypass,
                remains,
                range,
                told,
                out: &out,
                held: BytesMut::new(),
            }
            .run()
            .await;
            let last = match ended {
                Ok(()) => Ok(None),
                Err(BypassEnd::Failed(error)) => {
                    mark_failed(&Span::current(), error.word());
                    Err(error)
                }
                Err(BypassEnd::ReaderLeft) => return,
            };
            // The reader may have left.
            let _ = out.send(last).await;
        };
        span.in_scope(|| self.fetches.running().spawn(work));
        stream
    }

    /// The parents, each once, then the registry (`None`) as long as there is patience with it.
    fn sources(&self) -> impl Iterator<Item = Option<String>> + use<> {
        let tries = if self.spec.registry_allowed { usize::MAX } else { 0 };
        let registry = std::iter::repeat_n(None, tries);
        self.spec.parents.clone().into_iter().map(Some).chain(registry)
    }

    fn patience(&self) -> Patience {
        let slows_down = self.fetches.sources().slows_down(&self.spec.location);
        Patience::begin(Instant::now(), slows_down)
    }

    async fn open(
        &self,
        parent: Option<&str>,
        (from, size): (u64, Option<u64>),
    ) -> Result<OpenSource, SourceError> {
        let (sources, spec) = (self.fetches.sources(), &self.spec);
        let limit = sources.open_limit(&spec.location);
        let opening = async {
            if let Some(url) = parent {
                let opened = sources.parent(url, &spec.digest, &spec.location, from).await;
                return opened.map(|vouched| vouched.opened);
            }
            let rest = RestOf { from, size };
            sources
                .registry(&spec.registry_source(), spec.kind, &spec.digest, rest)
                .await
        };
        timeout(limit, opening)
            .await
            .unwrap_or_else(|_| Err(took_too_long(limit)))
    }

    fn name(&self, parent: Option<&str>) -> String {
        parent.map_or_else(|| self.spec.location.registry().to_string(), str::to_owned)
    }
}

/// Returns what follows a try. Of the other sources, each is asked once.
fn next_try(patience: &mut Patience, parent: Option<&str>, fault: &SourceError, bytes: u64) -> NextTry {
    if parent.is_some() {
        return NextTry::After(Duration::ZERO);
    }
    patience.after(bytes, fault.passing, Instant::now())
}

/// Waits for the next try. Returns `false` if there is none.
async fn waits(next: NextTry) -> bool {
    let NextTry::After(pause) = next else {
        return false;
    };
    sleep(pause).await;
    true
}

fn no_size() -> SourceError {
    wrong_size("it did not send the size".to_owned())
}

fn wrong_size(text: String) -> SourceError {
    SourceError {
        side: wire::Side::Registry,
        word: "wrong_size",
        passing: false,
        text,
    }
}

/// The span of the bytes that one reader gets without the disk.
fn span_of(spec: &FetchSpec) -> Span {
    let span = info_span!(
        parent: None,
        "pass",
        otel.status_code = field::Empty,
        error.type = field::Empty,
        stoker.digest = %spec.digest,
    );
    if let Some(trace) = &spec.trace {
        trace.adopt(&span);
    }
    span
}

/// The bypass of one reader.
struct BypassReader<'a> {
    bypass: &'a Bypass,
    remains: Remains,
    range: Range<u64>,
    /// The size that the reader was told.
    told: Option<u64>,
    out: &'a mpsc::Sender<Result<Option<Bytes>, FetchError>>,
    /// Bytes of the last chunk, from a source.
    held: BytesMut,
}

impl BypassReader<'_> {
    async fn run(mut self) -> Result<(), BypassEnd> {
        let Some(hash) = self.remains.hash.clone() else {
            return self.send_from_file(0..self.remains.landed).await;
        };
        let free = last_chunk_begins(self.remains.landed);
        self.send_from_file(0..free).await?;
        if self.range.end <= free {
            return Ok(());
        }
        self.send_from_sources(*hash, free).await
    }

    async fn send_from_sources(&mut self, mut hash: DigestHasher, free: u64) -> Result<(), BypassEnd> {
        let mut at = self.remains.landed;
        let mut faults = Vec::new();
        let mut freed = free;
        let mut patience = self.bypass.patience();
        let mut known = None;
        for source in self.bypass.sources() {
            let name = self.bypass.name(source.as_deref());
            let before = at;
            let opened = self.bypass.open(source.as_deref(), (at, known)).await;
            let sized = opened.and_then(|opened| Ok((self.size_of(&opened)?, opened)));
            let (size, mut opened) = match sized {
                Ok(sized) => sized,
                Err(fault) => {
                    let next = next_try(&mut patience, source.as_deref(), &fault, 0);
                    note_fault(&mut faults, name, fault);
                    if !waits(next).await {
                        break;
                    }
                    continue;
                }
            };
            known = Some(size);
            let last = last_chunk_begins(size);
            // While the size was unknown, any chunk could be the last and was held back.
            let landed = self.remains.landed.min(last);
            if freed < landed {
                self.send_from_file(freed..landed).await?;
                freed = landed;
            }
            let mut broke = None;
            while at < size {
                match opened.stream.next().await {
                    Some(Ok(bytes)) => {
                        let bytes =
                            bytes.slice(..bytes.len().min(usize::try_from(size - at).unwrap_or(usize::MAX)));
                        let metrics = self.bypass.fetches.metrics();
                        metrics.received(source.is_none(), bytes.len() as u64);
                        hash.update(&bytes);
                        self.release(&bytes, at, last).await?;
                        at += bytes.len() as u64;
                    }
                    Some(Err(fault)) => {
                        broke = Some(fault);
                        break;
                    }
                    None => break,
                }
                if self.range.end <= at.min(last) {
                    return Ok(());
                }
            }
            if at == size {
                return self.finish(hash.finish(), last, size).await;
            }
            let fault = broke.unwrap_or_else(cut_short);
            let next = next_try(&mut patience, source.as_deref(), &fault, at - before);
            note_fault(&mut faults, name, fault);
            if !waits(next).await {
                break;
            }
        }
        Err(failed(&self.bypass.spec.digest, &faults).into())
    }

    fn size_of(&self, opened: &OpenSource) -> Result<u64, SourceError> {
        let expected = self.told.or(self.bypass.spec.size);
        match (opened.size.or(self.bypass.spec.size), expected) {
            (None, _) => Err(no_size()),
            (Some(claimed), Some(expected)) if claimed != expected => Err(wrong_size(format!(
                "it has {claimed} bytes instead of {expected}"
            ))),
            (Some(claimed), _) if claimed < self.remains.landed => Err(wrong_size(format!(
                "it has {claimed} bytes, and more have already landed"
            ))),
            (Some(claimed), _) => Ok(claimed),
        }
    }

    /// Sends the bytes before the last chunk and keeps the rest.
    async fn release(&mut self, bytes: &Bytes, at: u64, last: u64) -> Result<(), ReaderLeft> {
        let before = usize::try_from(last.saturating_sub(at))
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        self.held
            .extend_from_slice(bytes.get(before..).unwrap_or_default());
        self.send(bytes.slice(..before), at).await
    }

    async fn finish(&mut self, found: Digest, last: u64, size: u64) -> Result<(), BypassEnd> {
        let spec = &self.bypass.spec;
        if found != spec.digest {
            return Err(BypassEnd::Failed(FetchError::WrongBytes {
                digest: spec.digest.clone(),
                found,
                from: spec.location.registry().to_string(),
                side: wire::Side::Registry,
            }));
        }
        self.send_from_file(last..self.remains.landed).await?;
        let held = std::mem::take(&mut self.held).freeze();
        let begins = size - held.len() as u64;
        Ok(self.send(held, begins).await?)
    }

    async fn send_from_file(&self, part: Range<u64>) -> Result<(), BypassEnd> {
        let Some(file) = &self.remains.file else {
            return Ok(());
        };
        let end = part.end.min(self.range.end);
        let mut at = part.start.max(self.range.start);
        while at < end {
            let bytes = read_some(file, at, end - at)
                .await
                .map_err(|error| self.disk(&error))?;
            let length = bytes.len() as u64;
            self.send(bytes, at).await?;
            at += length;
        }
        Ok(())
    }

    /// Sends the bytes that lie in the range. `bytes` begin at `at`.
    async fn send(&self, bytes: Bytes, at: u64) -> Result<(), ReaderLeft> {
        let within = |offset: u64| {
            usize::try_from(offset.saturating_sub(at))
                .unwrap_or(usize::MAX)
                .min(bytes.len())
        };
        let (first, end) = (within(self.range.start), within(self.range.end));
        if first >= end {
            return Ok(());
        }
        self.out
            .send(Ok(Some(bytes.slice(first..end))))
            .await
            .map_err(|_| ReaderLeft)
    }

    fn disk(&self, error: &std::io::Error) -> FetchError {
        FetchError::Disk {
            digest: self.bypass.spec.digest.clone(),
            folder: self.bypass.fetches.store().folder().to_owned(),
            cause: error.to_string(),
        }
    }
}
