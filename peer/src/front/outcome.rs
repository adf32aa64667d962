//! The outcome of each pull, reported when its last byte was sent or its reader left: one log line, one count, one entry
//! among the recent pulls, and the attributes and links of the request's span.

mod log_line;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures_util::Stream;
use http::StatusCode;
use oci::Digest;
use prometheus_client::metrics::counter::Counter;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tracing::{Span, record_all};
use wire::{ObjectKind, Pull, PullResult, PullSource, Side, TraceContext};

use super::state::Front;
use crate::access::Refusal;
use crate::fetch::{FetchError, FetchStart, Following, ObjectStream, ReadableObject};
use crate::pulls::harmless;
use crate::source::host_and_port;
use crate::spans::{mark_failed, signed};

/// The client closed the connection before the response; nginx uses this number.
const LEFT_BEFORE: u16 = 499;

const READER_LEFT: &str = "reader_left";
/// The trouble of a pull whose reader closed the connection before its end.
pub(super) const READER_LEFT_TEXT: &str = "the reader left";

/// Where an object came from.
pub(crate) enum ObjectSource {
    Store,
    /// Its answer to the access question held all that was read.
    Registry,
    Fetch(Following),
}

impl ObjectSource {
    pub(crate) fn of(object: &ReadableObject) -> Self {
        match object {
            ReadableObject::Sealed(_) => Self::Store,
            ReadableObject::Fetching(following, _) => Self::Fetch(following.clone()),
        }
    }
}

/// The object that a request names.
#[derive(Default)]
pub(crate) struct PullTarget {
    pub(crate) registry: String,
    pub(crate) repository: String,
    pub(crate) reference: String,
    pub(crate) digest: Option<Digest>,
    pub(crate) kind: Option<ObjectKind>,
}

/// Why no response was sent, or why its body was cut off.
struct PullTrouble {
    text: String,
    side: Side,
    word: &'static str,
}

/// The outcome of one request, reported when it is dropped.
pub(crate) struct PullOutcome {
    pub(crate) target: PullTarget,
    pub(crate) access: &'static str,
    pub(crate) source: Option<ObjectSource>,
    /// None before the response.
    status: Option<StatusCode>,
    trouble: Option<PullTrouble>,
    bytes: u64,
    head_only: bool,
    began: Instant,
    span: Span,
    front: Arc<Front>,
    sent: Counter,
    room: Option<OwnedSemaphorePermit>,
    /// Bytes of the body that are not sent yet.
    owed: u64,
    /// The body reports the outcome, not this value.
    handed_on: bool,
}

impl PullOutcome {
    pub(crate) fn begin(head_only: bool, front: Arc<Front>) -> Self {
        Self {
            target: PullTarget::default(),
            access: "none",
            source: None,
            status: None,
            trouble: None,
            bytes: 0,
            head_only,
            began: Instant::now(),
            span: Span::current(),
            sent: front.metrics.sent_by("front"),
            front,
            room: None,
            owed: 0,
            handed_on: false,
        }
    }

    /// Holds the permit until the end of the response.
    pub(crate) fn hold(&mut self, room: OwnedSemaphorePermit) {
        self.room = Some(room);
    }

    pub(crate) fn answered(&mut self, status: StatusCode) {
        self.status = Some(status);
    }

    pub(crate) fn refused(&mut self, refusal: &Refusal) {
        self.answered(refusal.status());
        self.trouble = Some(PullTrouble {
            text: refusal.text().to_owned(),
            side: refusal.side(),
            word: "refused",
        });
    }

    /// Counts the bytes of a small body that is sent at once.
    pub(crate) fn count_sent(&mut self, bytes: u64) {
        self.bytes = bytes;
        self.sent.inc_by(bytes);
    }

    /// Returns a body of `length` bytes that reports the outcome at its end.
    pub(crate) fn body(&mut self, status: StatusCode, pieces: ObjectStream, length: u64) -> Body {
        self.handed_on = true;
        let outcome = Self {
            target: std::mem::take(&mut self.target),
            access: self.access,
            source: self.source.take(),
            status: Some(status),
            trouble: None,
            bytes: 0,
            head_only: self.head_only,
            began: self.began,
            span: self.span.clone(),
            front: self.front.clone(),
            sent: self.sent.clone(),
            room: self.room.take(),
            owed: length,
            handed_on: false,
        };
        Body::from_stream(PullBody { pieces, outcome })
    }

    fn report(&mut self) {
        if self.status.is_none() {
            self.left("the reader left before the response");
        } else if self.owed > 0 && self.trouble.is_none() {
            self.left(READER_LEFT_TEXT);
        }
        let (result, took) = (self.result(), self.began.elapsed());
        let sources = self.sources();
        self.front.metrics.pulled(result, took);
        // Before the span, whose attributes the log line would repeat.
        self.log(result, took, &sources);
        self.note_on_span(result);
        // A request that names no object of an allowed registry is not a pull.
        if let Some(kind) = self.target.kind {
            let pulled = self.pulled(kind, result, took, sources);
            self.front.pulls.push(pulled);
        }
    }

    fn left(&mut self, text: &str) {
        self.trouble = Some(PullTrouble {
            text: text.to_owned(),
            side: Side::Caller,
            word: READER_LEFT,
        });
    }

    fn result(&self) -> PullResult {
        let Some(status) = self.status else {
            return PullResult::Failed;
        };
        let broke_off = self.owed > 0 && self.trouble.as_ref().is_some_and(|it| it.word != READER_LEFT);
        if status.is_server_error() || broke_off {
            return PullResult::Failed;
        }
        if status.is_client_error() {
            return PullResult::Refused;
        }
        match &self.source {
            _ if self.head_only => PullResult::Head,
            Some(ObjectSource::Registry) => PullResult::Miss,
            Some(ObjectSource::Fetch(following)) => match following.found() {
                FetchStart::Held => PullResult::Hit,
                FetchStart::Joined => PullResult::Join,
                FetchStart::Started => PullResult::Miss,
            },
            _ => PullResult::Hit,
        }
    }

    fn status_code(&self) -> u16 {
        self.status.map_or(LEFT_BEFORE, |status| status.as_u16())
    }

    /// Returns the sources of the bytes: none when the object was held.
    fn sources(&self) -> Vec<PullSource> {
        let report = match &self.source {
            Some(ObjectSource::Fetch(following)) => following.report().unwrap_or_default(),
            Some(ObjectSource::Registry) if !self.head_only => return vec![self.registry_alone()],
            _ => return Vec::new(),
        };
        let senders = report.sources.into_iter().filter(|source| source.bytes > 0);
        senders
            .map(|source| PullSource {
                peer: self.front.neighbours.name_of(&source.source),
                source: if source.is_registry {
                    source.source
                } else {
                    host_and_port(&source.source).to_owned()
                },
                is_registry: source.is_registry,
                bytes: source.bytes,
            })
            .collect()
    }

    /// The registry sent the bytes with its answer to the access question.
    fn registry_alone(&self) -> PullSource {
        PullSource {
            source: self.target.registry.clone(),
            peer: None,
            is_registry: true,
            bytes: self.bytes,
        }
    }

    /// Records attributes, and links to the spans that brought the bytes.
    fn note_on_span(&self, result: PullResult) {
        let target = &self.target;
        let image =
            (!target.repository.is_empty()).then(|| format!("{}/{}", target.registry, target.repository));
        // In one call: each one visits every subscriber.
        record_all!(
            self.span,
            stoker.image = image,
            stoker.digest = target.digest.as_ref().map(Digest::as_str),
            stoker.result = result.word(),
            stoker.bytes = signed(self.bytes),
        );
        let failed_late = result == PullResult::Failed && self.status_code() < 500;
        if let Some(trouble) = self.trouble.as_ref().filter(|_| failed_late) {
            mark_failed(&self.span, trouble.word);
        }
        if let Some(trace) = self.brought_by() {
            trace.link_to(&self.span);
        }
    }

    /// Returns the span of the fetch that this pull followed, or of the earlier one that brought the object.
    fn brought_by(&self) -> Option<TraceContext> {
        match self.source.as_ref().filter(|_| !self.head_only)? {
            ObjectSource::Registry => None,
            ObjectSource::Fetch(following) if following.found() != FetchStart::Held => following.joined(),
            ObjectSource::Store | ObjectSource::Fetch(_) => {
                self.front.store.brought(self.target.digest.as_ref()?)
            }
        }
    }

    fn pulled(
        &mut self,
        kind: ObjectKind,
        result: PullResult,
        took: Duration,
        sources: Vec<PullSource>,
    ) -> Pull {
        let target = std::mem::take(&mut self.target);
        let (took_ms, now) = (millis(took), (self.front.now)());
        Pull {
            at_unix_ms: now.saturating_sub(signed(took_ms)),
            registry: target.registry,
            repository: target.repository,
            reference: target.reference,
            digest: target.digest.map(|digest| digest.to_string()),
            kind,
            result,
            sources,
            bytes: self.bytes,
            took_ms,
            status: self.status_code(),
            trouble: self.trouble.take().map(|trouble| harmless(&trouble.text)),
            trace_id: TraceContext::of(&self.span).map(|trace| trace.trace_id().to_owned()),
        }
    }
}

impl Drop for PullOutcome {
    fn drop(&mut self) {
        if !self.handed_on {
            let span = self.span.clone();
            span.in_scope(|| self.report());
        }
    }
}

fn millis(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}

impl PullTrouble {
    fn while_sending(error: &std::io::Error) -> Self {
        let fetch: Option<&FetchError> = error.get_ref().and_then(|inner| inner.downcast_ref());
        Self {
            text: error.to_string(),
            // Other errors are failed reads of a file.
            side: fetch.map_or(Side::Peer, FetchError::side),
            word: fetch.map_or("disk", FetchError::word),
        }
    }
}

struct PullBody {
    pieces: ObjectStream,
    outcome: PullOutcome,
}

impl Stream for PullBody {
    type Item = std::io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.pieces.as_mut().poll_next(context);
        match &polled {
            Poll::Ready(Some(Ok(piece))) => {
                let length = piece.len() as u64;
                self.outcome.bytes += length;
                self.outcome.sent.inc_by(length);
                self.outcome.owed = self.outcome.owed.saturating_sub(length);
            }
            Poll::Ready(Some(Err(error))) => self.outcome.trouble = Some(PullTrouble::while_sending(error)),
            _ => {}
        }
        polled
    }
}
