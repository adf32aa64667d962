//! Aborts a response when the caller loses the right to read it.
//!
//! **Invariant:** an aborted response is an error on the wire, never a short body that looks complete.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use http::Response;
use http_body::{Frame, SizeHint};

/// Aborts the body and its connection once `ended` resolves.
pub fn cut_when(
    ended: impl Future<Output = ()> + Send + 'static,
    response: Response<Body>,
) -> Response<Body> {
    let ended = Box::pin(ended);
    response.map(|body| Body::new(Cut { body, ended }))
}

struct Cut {
    body: Body,
    ended: Pin<Box<dyn Future<Output = ()> + Send>>,
}

#[derive(Debug, thiserror::Error)]
#[error("the caller lost access during the response")]
struct CutOff;

impl HttpBody for Cut {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.ended.as_mut().poll(context).is_ready() {
            return Poll::Ready(Some(Err(axum::Error::new(CutOff))));
        }
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
