//! Who may ask: peers of our cluster, by the certificates that they show.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::CONNECTION;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use process::cut::cut_when;
use process::mutual::ClientCertificate;

use crate::membership::{Membership, NotBelieved};

/// Looks at the certificate with every request, so that an open connection of a peer that was removed meanwhile is
/// refused; and what such a peer is just being sent breaks off.
pub(crate) async fn only_peers(
    State(membership): State<Membership>,
    request: Request,
    next: Next,
) -> Response {
    let shown = request.extensions().get::<ClientCertificate>();
    let caller = shown
        .ok_or(NotBelieved::Nothing)
        .and_then(|shown| membership.judge(shown.der()));
    match caller {
        Ok(caller) => cut_when(membership.removal_of(caller.peer), next.run(request).await),
        // The next connection shows the certificate that the caller has then.
        Err(fault) => (
            StatusCode::UNAUTHORIZED,
            [(CONNECTION, "close")],
            format!("{fault}\n"),
        )
            .into_response(),
    }
}
