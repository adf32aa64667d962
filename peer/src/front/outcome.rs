//! What became of each request, told where it is known: when the last byte has gone, or the reader has. One line, one
//! count, one entry among the recent pulls, and the attributes and links of its span.

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
use wire::{ObjectKind, PullResult, Pulled, PulledFrom, Side, TraceContext};

use super::Front;
use crate::access::Refusal;
use crate::fetch::{FetchError, Following, Found, Object, Pieces};
use crate::pulls::harmless;
use crate::source::host_and_port;
use crate::spans::{mark_failed, signed};

/// Nobody was there any more to be answered: as nginx has it.
const LEFT_BEFORE: u16 = 499;

const READER_LEFT: &str = "reader_left";

/// Where an object came from.
pub(crate) enum Source {
    Store,
    /// Only asked; what it answered may be all there is to read.
    Registry,
    Fetch(Following),
}

impl Source {
    pub(crate) fn of(object: &Object) -> Self {
        match object {
            Object::Here(_) => Self::Store,
            Object::Coming(following, _) => Self::Fetch(following.clone()),
        }
    }
}

/// What was asked for.
#[derive(Default)]
pub(crate) struct Asked {
    pub(crate) registry: String,
    pub(crate) repository: String,
    pub(crate) reference: String,
    pub(crate) digest: Option<Digest>,
    pub(crate) kind: Option<ObjectKind>,
}

/// Why there was nothing, or why it broke off.
struct Trouble {
    text: String,
    side: Side,
    word: &'static str,
}

/// What becomes of one request. Tells it when it is dropped.
pub(crate) struct Outcome {
    pub(crate) asked: Asked,
    pub(crate) access: &'static str,
    pub(crate) source: Option<Source>,
    /// None until there is an answer.
    status: Option<StatusCode>,
    trouble: Option<Trouble>,
    bytes: u64,
    head_only: bool,
    began: Instant,
    span: Span,
    front: Arc<Front>,
    sent: Counter,
    room: Option<OwnedSemaphorePermit>,
    /// Bytes that a body on its way still owes.
    owed: u64,
    /// A body carries the rest of the outcome on.
    handed_on: bool,
}

impl Outcome {
    pub(crate) fn begin(head_only: bool, front: Arc<Front>) -> Self {
        Self {
            asked: Asked::default(),
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

    /// The place among the requests that are answered at one time; kept to the end.
    pub(crate) fn takes(&mut self, room: OwnedSemaphorePermit) {
        self.room = Some(room);
    }

    pub(crate) fn answered(&mut self, status: StatusCode) {
        self.status = Some(status);
    }

    pub(crate) fn refused(&mut self, refusal: &Refusal) {
        self.answered(refusal.status());
        self.trouble = Some(Trouble {
            text: refusal.text().to_owned(),
            side: refusal.side(),
            word: "refused",
        });
    }

    /// A small object that goes out at once.
    pub(crate) fn sends(&mut self, bytes: u64) {
        self.bytes = bytes;
        self.sent.inc_by(bytes);
    }

    /// A body of `length` bytes that tells the outcome at its end.
    pub(crate) fn body(&mut self, status: StatusCode, pieces: Pieces, length: u64) -> Body {
        self.handed_on = true;
        let outcome = Self {
            asked: std::mem::take(&mut self.asked),
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
        Body::from_stream(Telling { pieces, outcome })
    }

    fn ends(&mut self) {
        if self.status.is_none() {
            self.left("the reader left before there was an answer");
        } else if self.owed > 0 && self.trouble.is_none() {
            self.left("the reader left");
        }
        let (result, took) = (self.result(), self.began.elapsed());
        let sources = self.sources();
        self.front.metrics.pulled(result, took);
        // First, so that the line does not say twice what the span is told.
        self.log(result, took, &sources);
        self.note_on_span(result);
        // What names no object of a registry that may be dialled was no pull.
        if let Some(kind) = self.asked.kind {
            let pulled = self.pulled(kind, result, took, sources);
            self.front.pulls.push(pulled);
        }
    }

    fn left(&mut self, text: &str) {
        self.trouble = Some(Trouble {
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
            Some(Source::Registry) => PullResult::Miss,
            Some(Source::Fetch(following)) => match following.found() {
                Found::Here => PullResult::Hit,
                Found::Joined => PullResult::Join,
                Found::Started => PullResult::Miss,
            },
            _ => PullResult::Hit,
        }
    }

    fn status_code(&self) -> u16 {
        self.status.map_or(LEFT_BEFORE, |status| status.as_u16())
    }

    /// Who gave the bytes; nobody when they were here.
    fn sources(&self) -> Vec<PulledFrom> {
        let report = match &self.source {
            Some(Source::Fetch(following)) => following.report().unwrap_or_default(),
            Some(Source::Registry) if !self.head_only => return vec![self.gave_by_itself()],
            _ => return Vec::new(),
        };
        let gave = report.sources.into_iter().filter(|source| source.bytes > 0);
        gave.map(|source| PulledFrom {
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

    /// The registry, in its answer to the question whether the caller may have it.
    fn gave_by_itself(&self) -> PulledFrom {
        PulledFrom {
            source: self.asked.registry.clone(),
            peer: None,
            is_registry: true,
            bytes: self.bytes,
        }
    }

    /// Attributes, and links to the spans that brought the bytes.
    fn note_on_span(&self, result: PullResult) {
        let asked = &self.asked;
        let image =
            (!asked.repository.is_empty()).then(|| format!("{}/{}", asked.registry, asked.repository));
        // At once: each record costs a walk through all who listen.
        record_all!(
            self.span,
            stoker.image = image,
            stoker.digest = asked.digest.as_ref().map(Digest::as_str),
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

    /// The span of the fetch that this pull followed, or the one that brought the object before.
    fn brought_by(&self) -> Option<TraceContext> {
        match self.source.as_ref().filter(|_| !self.head_only)? {
            Source::Registry => None,
            Source::Fetch(following) if following.found() != Found::Here => following.joined(),
            Source::Store | Source::Fetch(_) => self.front.store.brought(self.asked.digest.as_ref()?),
        }
    }

    fn pulled(
        &mut self,
        kind: ObjectKind,
        result: PullResult,
        took: Duration,
        sources: Vec<PulledFrom>,
    ) -> Pulled {
        let asked = std::mem::take(&mut self.asked);
        let (took_ms, now) = (millis(took), (self.front.now)());
        Pulled {
            at_unix_ms: now.saturating_sub(signed(took_ms)),
            registry: asked.registry,
            repository: asked.repository,
            reference: asked.reference,
            digest: asked.digest.map(|digest| digest.to_string()),
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

impl Drop for Outcome {
    fn drop(&mut self) {
        if !self.handed_on {
            let span = self.span.clone();
            span.in_scope(|| self.ends());
        }
    }
}

fn millis(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}

impl Trouble {
    fn on_the_way(error: &std::io::Error) -> Self {
        let fetch: Option<&FetchError> = error.get_ref().and_then(|inner| inner.downcast_ref());
        Self {
            text: error.to_string(),
            // What is no failed fetch is a file that cannot be read.
            side: fetch.map_or(Side::Peer, FetchError::side),
            word: fetch.map_or("disk", FetchError::word),
        }
    }
}

struct Telling {
    pieces: Pieces,
    outcome: Outcome,
}

impl Stream for Telling {
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
            Poll::Ready(Some(Err(error))) => self.outcome.trouble = Some(Trouble::on_the_way(error)),
            _ => {}
        }
        polled
    }
}
