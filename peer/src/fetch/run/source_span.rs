//! The span of one source of a fetch: its name, bytes and rate, and why it was abandoned.

use store::CHUNK;
use tokio::time::Instant;
use tracing::{Span, field, info_span};

use crate::source::{SourceError, host_and_port};
use crate::spans::{mark_failed, signed};

pub(super) struct SourceSpan {
    span: Span,
    began: Instant,
    /// The first byte that was requested.
    from: u64,
    /// Bytes of single chunks, at any offset.
    gave: u64,
}

impl SourceSpan {
    pub(super) fn of_parent(share_url: &str, from: u64) -> Self {
        Self::begin(host_and_port(share_url), "peer", from)
    }

    pub(super) fn of_relay(share_url: &str, from: u64) -> Self {
        Self::begin(host_and_port(share_url), "relay", from)
    }

    pub(super) fn of_registry(name: &str, from: u64) -> Self {
        Self::begin(name, "registry", from)
    }

    fn begin(source: &str, kind: &'static str, from: u64) -> Self {
        let span = info_span!(
            "source",
            otel.status_code = field::Empty,
            error.type = field::Empty,
            stoker.source = source,
            stoker.source.kind = kind,
            stoker.bytes = field::Empty,
            stoker.chunks = field::Empty,
            stoker.bytes_per_second = field::Empty,
            stoker.left = field::Empty,
            stoker.left.because = field::Empty,
        );
        let began = Instant::now();
        let gave = 0;
        Self {
            span,
            began,
            from,
            gave,
        }
    }

    pub(super) fn span(&self) -> Span {
        self.span.clone()
    }

    /// Adds the bytes of one chunk.
    pub(super) fn gave(&mut self, bytes: u64) {
        self.gave += bytes;
    }

    /// Ends the span of a source that sent single chunks.
    pub(super) fn gave_chunks(&self) {
        self.note(self.from + self.gave, "done");
    }

    /// The source sent all requested bytes, up to `at`.
    pub(super) fn done(&self, at: u64) {
        self.note(at, "done");
    }

    pub(super) fn abandoned(&self, at: u64, fault: &SourceError) {
        self.note(at, fault.word);
        self.span.record("stoker.left.because", fault.text.as_str());
        mark_failed(&self.span, fault.word);
    }

    /// The transfer ended for a reason that is not the source's fault.
    pub(super) fn cut(&self, at: u64, why: &'static str) {
        self.note(at, why);
    }

    fn note(&self, at: u64, left: &'static str) {
        let bytes = at.saturating_sub(self.from);
        let chunks = at.div_ceil(CHUNK).saturating_sub(self.from / CHUNK);
        self.span
            .record("stoker.bytes", signed(bytes))
            .record("stoker.chunks", signed(if bytes == 0 { 0 } else { chunks }))
            .record("stoker.bytes_per_second", signed(per_second(bytes, self.began)))
            .record("stoker.left", left);
    }
}

fn per_second(bytes: u64, began: Instant) -> u64 {
    let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    bytes.saturating_mul(1_000_000) / micros.max(1)
}
