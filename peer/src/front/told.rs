//! One line per request, written where its outcome is known: when the last byte has gone, or the reader has.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use futures_util::{FutureExt as _, Stream};
use http::StatusCode;
use oci::Digest;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tracing::{Span, info, warn};

use super::objects::Pieces;
use crate::fetch::Following;

/// Where an object came from.
pub(crate) enum Source {
    Store,
    /// Only asked, nothing read.
    Registry,
    Fetch(Following),
}

impl Source {
    fn name(&self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::Registry => "registry",
            Self::Fetch(following) => match following.sealed().now_or_never() {
                Some(Ok(report)) if report.bytes_from_registry > 0 => "registry",
                Some(Ok(report)) if report.bytes_from_peers > 0 => "parent",
                _ => "fetch",
            },
        }
    }
}

/// What becomes of one request. Tells it when it is dropped.
pub(crate) struct Outcome {
    pub(crate) registry: String,
    pub(crate) repository: String,
    pub(crate) reference: String,
    pub(crate) digest: Option<Digest>,
    pub(crate) access: &'static str,
    pub(crate) source: Option<Source>,
    pub(crate) bytes: u64,
    pub(crate) status: StatusCode,
    /// Why there was none, or why it broke off.
    pub(crate) trouble: Option<String>,
    method: &'static str,
    began: Instant,
    span: Span,
    room: Option<OwnedSemaphorePermit>,
    /// Bytes that a body on its way still owes.
    owed: u64,
    /// A body carries the rest of the outcome on.
    handed_on: bool,
}

impl Outcome {
    pub(crate) fn begin(head_only: bool, room: OwnedSemaphorePermit) -> Self {
        Self {
            registry: String::new(),
            repository: String::new(),
            reference: String::new(),
            digest: None,
            access: "none",
            source: None,
            bytes: 0,
            status: StatusCode::OK,
            trouble: None,
            method: if head_only { "HEAD" } else { "GET" },
            began: Instant::now(),
            span: Span::current(),
            room: Some(room),
            owed: 0,
            handed_on: false,
        }
    }

    /// A body of `length` bytes that tells the outcome at its end.
    pub(crate) fn body(&mut self, pieces: Pieces, length: u64) -> Body {
        self.handed_on = true;
        let outcome = Self {
            registry: std::mem::take(&mut self.registry),
            repository: std::mem::take(&mut self.repository),
            reference: std::mem::take(&mut self.reference),
            digest: self.digest.take(),
            access: self.access,
            source: self.source.take(),
            bytes: 0,
            status: self.status,
            trouble: None,
            method: self.method,
            began: self.began,
            span: self.span.clone(),
            room: self.room.take(),
            owed: length,
            handed_on: false,
        };
        Body::from_stream(Telling { pieces, outcome })
    }
}

impl Drop for Outcome {
    fn drop(&mut self) {
        if self.handed_on {
            return;
        }
        let _entered = self.span.enter();
        if self.owed > 0 && self.trouble.is_none() {
            self.trouble = Some("the reader left".to_owned());
        }
        let digest = self.digest.as_ref().map_or("", Digest::as_str);
        let source = self.source.as_ref().map_or("none", Source::name);
        let (status, duration_ms) = (self.status.as_u16(), self.began.elapsed().as_millis());
        let Self {
            registry,
            repository,
            reference,
            access,
            bytes,
            method,
            ..
        } = self;
        match &self.trouble {
            Some(trouble) if self.status.is_server_error() || self.owed > 0 => warn!(
                registry,
                repository,
                reference,
                digest,
                access,
                source,
                size_bytes = bytes,
                status,
                duration_ms,
                trouble,
                "{method} {registry}/{repository} {reference}: {trouble}"
            ),
            trouble => info!(
                registry,
                repository,
                reference,
                digest,
                access,
                source,
                size_bytes = bytes,
                status,
                duration_ms,
                trouble,
                "{method} {registry}/{repository} {reference}: {status} from {source}"
            ),
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
                self.outcome.owed = self.outcome.owed.saturating_sub(length);
            }
            Poll::Ready(Some(Err(error))) => self.outcome.trouble = Some(error.to_string()),
            _ => {}
        }
        polled
    }
}
