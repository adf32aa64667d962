//! A reader's view of a fetch.

use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, Stream};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;
use tracing::warn;
use wire::{ObjectKind, Side, TraceContext};

use super::bypass::{Bypass, BypassStream};
use super::error::FetchError;
use super::fetches::{FetchStart, Fetches, OngoingFetch};
use super::needs::Demand;
use super::progress::{Body, Progress, Remains, Stage};
use super::report::FetchReport;
use super::spec::{Extent, FetchSpec};
use store::{ChunkHash, last_chunk_begins, read_some};

/// Limit for fetches that a follower joins or starts in turn, when fetches of other callers fail.
const OWN_ATTEMPTS: u32 = 4;

/// Follows the fetch of one object. Clones follow the same fetch.
#[derive(Clone)]
pub struct Following {
    fetches: Fetches,
    spec: Arc<FetchSpec>,
    current: Arc<Mutex<CurrentFetch>>,
    /// Its readers get the last chunk only once the whole is proven.
    needs_proof: bool,
}

struct CurrentFetch {
    ongoing: OngoingFetch,
    found: FetchStart,
    attempts: u32,
}

impl Fetches {
    /// Follows the fetch of this object: the running one, or a new one. A sealed object is followed too;
    /// nothing is fetched then.
    ///
    /// The caller of this function has checked that its own caller may read the object.
    pub fn join_or_start(&self, spec: FetchSpec) -> Following {
        let spec = Arc::new(spec);
        let (ongoing, found) = self.ongoing(&spec);
        Following::new(self.clone(), spec, ongoing, found)
    }
}

impl Following {
    fn new(fetches: Fetches, spec: Arc<FetchSpec>, ongoing: OngoingFetch, found: FetchStart) -> Self {
        let current = Arc::new(Mutex::new(CurrentFetch {
            ongoing,
            found,
            attempts: 1,
        }));
        Self {
            fetches,
            spec,
            current,
            needs_proof: false,
        }
    }

    /// The same fetch for readers of parts that get the last chunk only once the whole is proven.
    pub(crate) fn held_back(self) -> Self {
        Self {
            needs_proof: true,
            ..self
        }
    }

    /// The object's size, once a source has confirmed it, or once a source has answered without a size: then the size
    /// that this caller's manifest or registry names. `read_sized` holds the object to it.
    pub async fn size(&self) -> Result<u64, FetchError> {
        let hint = self.spec.size_hint.filter(|_| self.spec.kind == ObjectKind::Blob);
        let known = |progress: &Progress| progress.size.or(hint.filter(|_| progress.is_open));
        match self.until(known).await {
            Ok(size) if self.reads_here() => Ok(size),
            Ok(_) => Err(self.stopped()),
            Err((FetchError::Disk { .. }, Some(_))) => self.bypass().size().await,
            Err((error, _)) => Err(error),
        }
    }

    /// The bytes of `range` as they land. The object's last chunk is sent once the whole is proven. When this
    /// peer's disk fails, the rest is streamed without it.
    ///
    /// Ends early only with an error, or at the object's end.
    pub fn read(&self, range: Range<u64>) -> impl Stream<Item = Result<Bytes, FetchError>> + Send + use<> {
        self.read_as(range, None)
    }

    /// The same for a reader that was told the size. Before the object turns out to have another one, the reader does not
    /// get what it would take for the last chunk; then it gets an error.
    pub(super) fn read_sized(
        &self,
        range: Range<u64>,
        told: u64,
    ) -> impl Stream<Item = Result<Bytes, FetchError>> + Send + use<> {
        self.read_as(range, Some(told))
    }

    fn read_as(
        &self,
        range: Range<u64>,
        told: Option<u64>,
    ) -> impl Stream<Item = Result<Bytes, FetchError>> + Send + use<> {
        let reader = FetchReader {
            following: self.clone(),
            view: self.view(),
            demand: self.demand(),
            at: range.start,
            end: range.end,
            told,
            take: None,
            file: None,
            bypass: None,
        };
        stream::unfold(Some(reader), |reader| async {
            let mut reader = reader?;
            match reader.next().await {
                Ok(Some(bytes)) => Some((Ok(bytes), Some(reader))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        })
    }

    /// Waits for the hashes of all chunks of this part. Returns none for a sealed object.
    pub(crate) async fn chunk_hashes(&self, part: Range<u64>) -> Result<Vec<ChunkHash>, FetchError> {
        let demand = self.demand();
        demand.at(part.start, part.end);
        let there = |progress: &Progress| match (&progress.body, progress.size) {
            (Some(Body::Open(view)), Some(size)) => view.hashes_of(&part, size),
            (Some(_), _) => Some(Vec::new()),
            _ => None,
        };
        self.until(there).await.map_err(|(error, _)| error)
    }

    /// Whether the fetch's bytes count as those of the spec's location before the whole is proven.
    pub(crate) fn reads_here(&self) -> bool {
        self.current().ongoing.reads_from(&self.spec.location)
    }

    pub fn digest(&self) -> &oci::Digest {
        &self.spec.digest
    }

    /// How this follower got the object.
    pub fn found(&self) -> FetchStart {
        self.current().found
    }

    /// The span of a fetch that another caller had started. The span of an own fetch has the follower's as its
    /// parent.
    pub fn joined(&self) -> Option<TraceContext> {
        let current = self.current();
        let joined = current.found == FetchStart::Joined;
        current.ongoing.span.clone().filter(|_| joined)
    }

    /// Returns the bytes of each source, once the object is proven.
    pub fn report(&self) -> Option<FetchReport> {
        match &self.view().borrow().stage {
            Stage::Proven(report) | Stage::Sealed(report) => Some(report.clone()),
            _ => None,
        }
    }

    /// Bytes that have landed.
    pub fn progress(&self) -> u64 {
        self.view().borrow().landed
    }

    /// Waits until the bytes are proven.
    pub async fn proven(&self) -> Result<(), FetchError> {
        let proven =
            |progress: &Progress| matches!(progress.stage, Stage::Proven(_) | Stage::Sealed(_)).then_some(());
        self.until(proven).await.map_err(|(error, _)| error)
    }

    /// Fetches the whole object, also if the spec names only parts, and waits until it is proven.
    pub(crate) async fn all_proven(&self) -> Result<(), FetchError> {
        let all = Self {
            spec: Arc::new(FetchSpec {
                extent: Extent::Whole,
                ..(*self.spec).clone()
            }),
            ..self.clone()
        };
        self.current().ongoing.needs.need_whole(all.spec.class);
        all.proven().await
    }

    /// Waits until the object is sealed.
    pub async fn sealed(&self) -> Result<FetchReport, FetchError> {
        let sealed = |progress: &Progress| match &progress.stage {
            Stage::Sealed(report) => Some(report.clone()),
            _ => None,
        };
        self.until(sealed).await.map_err(|(error, _)| error)
    }

    async fn until<T>(
        &self,
        look: impl Fn(&Progress) -> Option<T>,
    ) -> Result<T, (FetchError, Option<Remains>)> {
        let mut view = self.view();
        loop {
            let failure = {
                let progress = view.borrow_and_update();
                if let Some(seen) = look(&progress) {
                    return Ok(seen);
                }
                match &progress.stage {
                    Stage::Failed(error, remains) => Some((error.clone(), remains.clone())),
                    _ => None,
                }
            };
            match failure {
                Some((error, remains)) => view = self.another(&error).ok_or((error, remains))?,
                None => view.changed().await.map_err(|_| (self.stopped(), None))?,
            }
        }
    }

    /// Another fetch that may succeed where this one failed with `error`. `None` when the failed fetch was our
    /// own.
    fn another(&self, error: &FetchError) -> Option<watch::Receiver<Progress>> {
        let mut current = self.current();
        let failed = matches!(current.ongoing.view.borrow().stage, Stage::Failed(..));
        if failed {
            let own = Arc::ptr_eq(&current.ongoing.starter, &self.spec);
            let hopeless = own || !self.spec.may_do_better(&current.ongoing.starter, error);
            if hopeless || current.attempts >= OWN_ATTEMPTS {
                return None;
            }
            (current.ongoing, current.found) = self.fetches.ongoing(&self.spec);
            current.attempts += 1;
        }
        Some(current.ongoing.view.clone())
    }

    fn demand(&self) -> Demand {
        self.current().ongoing.needs.demand(self.needs_proof)
    }

    fn view(&self) -> watch::Receiver<Progress> {
        self.current().ongoing.view.clone()
    }

    fn current(&self) -> MutexGuard<'_, CurrentFetch> {
        self.current.lock()
    }

    fn stopped(&self) -> FetchError {
        FetchError::Stopped {
            digest: self.spec.digest.clone(),
        }
    }

    fn bypass(&self) -> Bypass {
        Bypass::new(self.fetches.clone(), self.spec.clone())
    }
}

struct FetchReader {
    following: Following,
    view: watch::Receiver<Progress>,
    /// What it waits for. The fetch sees it.
    demand: Demand,
    at: u64,
    end: u64,
    /// The size that it was told.
    told: Option<u64>,
    /// The take that its bytes so far belong to.
    take: Option<u32>,
    file: Option<(u32, Arc<File>)>,
    /// Set once the disk has failed.
    bypass: Option<BypassStream>,
}

impl FetchReader {
    async fn next(&mut self) -> Result<Option<Bytes>, FetchError> {
        let reads_part = self.following.spec.extent != Extent::Whole;
        loop {
            if let Some(bypass) = &mut self.bypass {
                let next = bypass.recv().await;
                return next.unwrap_or_else(|| Err(self.following.stopped()));
            }
            if self.at >= self.end {
                return Ok(None);
            }
            let progress = self.view.borrow_and_update().clone();
            if self.take.is_some_and(|take| take != progress.take) {
                return Err(self.started_over());
            }
            if reads_part {
                self.demand.at(self.at, self.end);
            }
            let gives_vouched = reads_part && !self.following.needs_proof;
            let readable = progress.readable_from(self.at, gives_vouched);
            let readable = readable.min(self.end_while_unsized(&progress)?);
            if readable > self.at {
                if let Some(bytes) = self.read(&progress, readable).await? {
                    return Ok(Some(bytes));
                }
                continue;
            }
            match progress.stage {
                Stage::Proven(_) | Stage::Sealed(_) => return Ok(None),
                Stage::Failed(error, remains) => self.continue_elsewhere(error, remains)?,
                Stage::Running => self.view.changed().await.map_err(|_| self.following.stopped())?,
            }
        }
    }

    /// Returns the end of what may be read while no source has confirmed the size that the reader was told.
    fn end_while_unsized(&self, progress: &Progress) -> Result<u64, FetchError> {
        match (self.told, progress.size) {
            (Some(told), Some(size)) if told != size => Err(self.other_size(told, size)),
            (Some(told), None) => Ok(last_chunk_begins(told)),
            _ => Ok(u64::MAX),
        }
    }

    fn other_size(&self, told: u64, size: u64) -> FetchError {
        let spec = &self.following.spec;
        FetchError::WrongSize {
            digest: spec.digest.clone(),
            expected: told,
            claimed: size,
            from: spec.location.registry().to_string(),
            side: Side::Registry,
        }
    }

    /// Returns `None` when the fetch started over while these bytes were read.
    async fn read(&mut self, progress: &Progress, readable: u64) -> Result<Option<Bytes>, FetchError> {
        let at_most = readable.min(self.end) - self.at;
        let read = async {
            if let Some(bytes) = progress.in_memory(self.at, at_most) {
                return Ok(bytes);
            }
            let file = self.file(progress).await?;
            read_some(&file, self.at, at_most).await
        };
        let bytes = read.await.map_err(|error| self.disk(&error))?;
        // The count is raised before a byte changes, so bytes that were read under the old count belong to the
        // old take.
        if self.view.borrow().take != progress.take {
            return Ok(None);
        }
        self.take = Some(progress.take);
        self.at += bytes.len() as u64;
        Ok(Some(bytes))
    }

    async fn file(&mut self, progress: &Progress) -> std::io::Result<Arc<File>> {
        if let Some((take, file)) = &self.file
            && *take == progress.take
        {
            return Ok(file.clone());
        }
        let body = progress
            .body
            .as_ref()
            .ok_or_else(|| std::io::Error::other("no file"))?;
        let file = body.file().await?;
        self.file = Some((progress.take, file.clone()));
        Ok(file)
    }

    fn continue_elsewhere(&mut self, error: FetchError, remains: Option<Remains>) -> Result<(), FetchError> {
        if let Some(remains) = remains {
            warn!(
                stoker.digest = %self.following.spec.digest,
                stoker.side = error.side().word(),
                at = self.at,
                %error,
                "disk failed, reader continues without it"
            );
            self.bypass = Some(
                self.following
                    .bypass()
                    .read(remains, self.at..self.end, self.told),
            );
            return Ok(());
        }
        // Bytes of two fetches are never mixed.
        if self.take.is_some() {
            return Err(error);
        }
        self.view = self.following.another(&error).ok_or_else(|| error.clone())?;
        if !self.following.reads_here() {
            return Err(error);
        }
        self.demand = self.following.demand();
        self.file = None;
        Ok(())
    }

    fn started_over(&self) -> FetchError {
        FetchError::StartedOver {
            digest: self.following.spec.digest.clone(),
        }
    }

    fn disk(&self, error: &std::io::Error) -> FetchError {
        FetchError::Disk {
            digest: self.following.spec.digest.clone(),
            folder: self.following.fetches.store().folder().to_owned(),
            cause: error.to_string(),
        }
    }
}
