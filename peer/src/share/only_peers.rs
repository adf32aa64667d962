//! Lets only peers of our cluster in, by their certificates.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::CONNECTION;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use process::cut::cut_when;
use process::mutual::ClientCertificate;

use crate::membership::{CertificateError, Membership};

/// Judges the certificate of every request, so that a removed peer is refused on an open connection too. Its running
/// responses are cut.
pub(crate) async fn only_peers(
    State(membership): State<Membership>,
    request: Request,
    next: Next,
) -> Response {
    let shown = request.extensions().get::<ClientCertificate>();
    let caller = shown
        .ok_or(CertificateError::Missing)
        .and_then(|shown| membership.judge(shown.der()));
    match caller {
        Ok(caller) => cut_when(membership.removal_of(caller.peer), next.run(request).await),
        // A new connection may show a renewed certificate.
        Err(fault) => (
            StatusCode::UNAUTHORIZED,
            [(CONNECTION, "close")],
            format!("{fault}\n"),
        )
            .into_response(),
    }
}
