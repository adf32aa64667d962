//! A response's body that is dropped if the client reads nothing of it for too long.
//!
//! The body owns the response's resources (a reader slot of the front, an open file). So the body must be dropped, even
//! if HTTP/2 keeps the connection.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::BoxError;
use axum::body::{Body as AxumBody, Bytes, HttpBody};
use http_body::{Frame, SizeHint};
use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use super::activity::{InProgress, WatchedResponse};

/// A body shared by the connection that reads it and the watch that may drop it.
#[derive(Default)]
struct BodySlot(Mutex<SlotState>);

#[derive(Default)]
struct SlotState {
    body: Option<AxumBody>,
    _request: Option<InProgress>,
    /// When the last chunk was handed over, until the next one is requested. `None` while the client waits for us.
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

/// The connection's side of the body.
pub(super) struct WatchedBody(Arc<BodySlot>);

#[derive(Debug, thiserror::Error)]
#[error("the client read nothing of the response for too long")]
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
