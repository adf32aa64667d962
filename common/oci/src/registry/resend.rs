//! Retries once on a new connection if a connection broke before the head of a response.
//!
//! Servers, load balancers and NATs close idle connections, and a client notices it with its next request. Such a
//! break says nothing about the registry.
//!
//! **Invariant:** at most one retry, within the same time limit, and only of requests that change nothing. An error
//! while connecting or a timeout is not retried: the first would fail again, the second has used up the time.

use std::error::Error as _;
use std::io::{self, ErrorKind};

use http::Method;
use reqwest::Response;
use tracing::Span;

use super::client::Registry;
use super::exchange::SendError;
use super::request::Request;
use super::response::signed;
use crate::clients::DialMode;

impl Registry {
    pub(super) async fn send_and_resend(
        &self,
        request: &Request,
        way: DialMode,
        prepared: reqwest::Request,
    ) -> Result<Response, SendError> {
        let again = prepared
            .try_clone()
            .filter(|_| may_be_repeated(&request.method, request.kind));
        let clients = &self.inner.clients;
        let first = clients.of(way).map_err(SendError::Setup)?.execute(prepared).await;
        match (first, again) {
            (Err(cause), Some(again)) if broke_before_the_head(&cause) => {
                tracing::debug!(%cause, "connection broke, retrying on a new one");
                let resent = u64::from(request.history.resent());
                Span::current().record("http.request.resend_count", signed(resent));
                let fresh = clients.of(way.fresh()).map_err(SendError::Setup)?;
                fresh.execute(again).await.map_err(SendError::Sending)
            }
            (first, _) => first.map_err(SendError::Sending),
        }
    }
}

/// Whether a request may be sent twice: reads, and token exchanges, also by POST. The latter only create one more
/// short-lived token, and a rotating refresh token would not survive our next exchange anyway.
fn may_be_repeated(method: &Method, kind: &str) -> bool {
    matches!(*method, Method::GET | Method::HEAD) || (kind == "token" && method == Method::POST)
}

/// Whether a connection broke before the head of a response arrived.
pub fn broke_before_the_head(error: &reqwest::Error) -> bool {
    if error.is_connect() || error.is_timeout() {
        return false;
    }
    let mut cause = error.source();
    while let Some(deeper) = cause {
        if deeper.downcast_ref::<hyper::Error>().is_some_and(is_break)
            || deeper.downcast_ref::<io::Error>().is_some_and(is_broken)
        {
            return true;
        }
        cause = deeper.source();
    }
    false
}

fn is_break(error: &hyper::Error) -> bool {
    error.is_incomplete_message() || error.is_closed() || error.is_canceled()
}

fn is_broken(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
            | ErrorKind::NotConnected
            | ErrorKind::UnexpectedEof
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_changes_something_is_not_repeated() {
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            for kind in ["manifest", "blob"] {
                assert!(!may_be_repeated(&method, kind), "{method} {kind}");
            }
        }
        assert!(!may_be_repeated(&Method::PUT, "token"));
        for (method, kind) in [
            (Method::GET, "blob"),
            (Method::HEAD, "manifest"),
            (Method::GET, "token"),
            (Method::POST, "token"),
        ] {
            assert!(may_be_repeated(&method, kind), "{method} {kind}");
        }
    }

    #[test]
    fn a_broken_connection_is_not_mistaken_for_other_failures() {
        assert!(is_broken(&ErrorKind::ConnectionReset.into()));
        assert!(is_broken(&ErrorKind::UnexpectedEof.into()));
        assert!(!is_broken(&ErrorKind::TimedOut.into()));
        assert!(!is_broken(&ErrorKind::ConnectionRefused.into()));
    }
}
