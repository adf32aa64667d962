//! A response's body, watched: it is dropped when the client takes nothing of it for too long.
//!
//! The body is where a response keeps what it holds (its place among the front's readers, an open file), so it is the body
//! that must go, also where HTTP/2 keeps the connection.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::BoxError;
use axum::body::{Body as AxumBody, Bytes, HttpBody};
use http_body::{Frame, SizeHint};
use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use super::activity::{InProgress, WatchedResponse};

/// Both sides of a body: the connection, which reads it, and the watch, which may take it away.
#[derive(Default)]
struct BodySlot(Mutex<SlotState>);

#[derive(Default)]
struct SlotState {
    body: Option<AxumBody>,
    _request: Option<InProgress>,
    /// When a piece was handed over, as long as the next one was not asked for. None while the client waits for us.
    given: Option<Instant>,
}

impl BodySlot {
    fn held(&self) -> MutexGuard<'_, SlotState> {
        self.0.lock()
    }
}

impl WatchedResponse for BodySlot {
    fn given_since(&self) -> Option<Instant> {
        self.held().given
    }

    fn release_if(&self, is_stalled: &dyn Fn(Instant) -> bool) {
        let mut held = self.held();
        if !held.given.is_some_and(is_stalled) {
            return;
        }
        let gone = std::mem::take(&mut *held);
        drop(held);
        drop(gone);
    }
}

/// The body that the connection reads.
pub(super) struct WatchedBody(Arc<BodySlot>);

#[derive(Debug, thiserror::Error)]
#[error("the client took nothing of the response for too long")]
struct Released;

impl WatchedBody {
    pub(super) fn new(body: AxumBody, mut request: InProgress) -> Self {
        let slot = Arc::new(BodySlot::default());
        request.answers_with(Arc::clone(&slot) as Arc<dyn WatchedResponse>);
        *slot.held() = SlotState {
            body: Some(body),
            _request: Some(request),
            given: None,
        };
        Self(slot)
    }
}

impl HttpBody for WatchedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut held = self.0.held();
        held.given = None;
        let Some(body) = &mut held.body else {
            return Poll::Ready(Some(Err(Released.into())));
        };
        let polled = Pin::new(body).poll_frame(context);
        if let Poll::Ready(Some(Ok(_))) = &polled {
            held.given = Some(Instant::now());
        }
        polled.map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.0.held().body.as_ref().is_some_and(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0
            .held()
            .body
            .as_ref()
            .map_or_else(SizeHint::default, HttpBody::size_hint)
    }
}

impl Drop for WatchedBody {
    fn drop(&mut self) {
        let gone = std::mem::take(&mut *self.0.held());
        drop(gone);
    }
}
