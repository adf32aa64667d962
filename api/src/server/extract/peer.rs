//! Which peer calls: what its certificate says, judged with the manager's clock.
//!
//! **Invariant:** behind [`only_peers`] every request carries the [`PeerCertificate`] of a peer that was not removed, and
//! behind [`of_own_session`] it is about a session of that very peer.

use axum::extract::{RawPathParams, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use process::mutual::ClientCertificate;
use wire::{CertificateStanding, PeerCertificate};

use crate::server::app::App;
use crate::server::problem::{Kind, Problem};

/// Lets peers through whose certificates hold.
pub(crate) async fn only_peers(State(app): State<App>, request: Request, next: Next) -> Response {
    match judged(&app, shown(&request), &[CertificateStanding::Valid]).await {
        Ok(certificate) => passed(request, certificate, next).await,
        Err(problem) => problem.into_response(),
    }
}

/// Lets peers through whose certificates hold, or did so not long ago.
pub(crate) async fn only_renewable(State(app): State<App>, request: Request, next: Next) -> Response {
    match judged(
        &app,
        shown(&request),
        &[CertificateStanding::Valid, CertificateStanding::Renewable],
    )
    .await
    {
        Ok(certificate) => passed(request, certificate, next).await,
        Err(problem) => problem.into_response(),
    }
}

/// Lets requests through that are about a session of their own peer; goes inside [`only_peers`].
pub(crate) async fn of_own_session(
    State(app): State<App>,
    parameters: RawPathParams,
    request: Request,
    next: Next,
) -> Response {
    let named = parameters.iter().find(|(name, _)| *name == "session");
    let session = named.and_then(|(_, session)| session.parse().ok());
    let caller = request.extensions().get::<PeerCertificate>();
    let (Some(session), Some(peer)) = (session, caller.map(|caller| caller.identity.peer)) else {
        return Problem::new(Kind::Malformed, "The session in the path is no uuid.").into_response();
    };
    match preheat::is_session_of(app.preheater(), session, peer).await {
        Ok(true) => next.run(request).await,
        Ok(false) => Problem::not_admitted("This session is another peer's.").into_response(),
        Err(fault) => Problem::from(fault).into_response(),
    }
}

async fn passed(mut request: Request, certificate: PeerCertificate, next: Next) -> Response {
    request.extensions_mut().insert(certificate);
    next.run(request).await
}

fn shown(request: &Request) -> Option<ClientCertificate> {
    request.extensions().get().cloned()
}

async fn judged(
    app: &App,
    shown: Option<ClientCertificate>,
    good: &[CertificateStanding],
) -> Result<PeerCertificate, Problem> {
    let shown = shown.ok_or_else(|| {
        Problem::no_certificate(
            "Only peers may call this: join first, with a join token (POST /peer/v1/join).",
        )
    })?;
    let certificate = PeerCertificate::read(shown.der())
        .map_err(|fault| Problem::no_certificate(format!("No peer's certificate: {fault}.")))?;
    if preheat::is_removed(app.preheater(), certificate.identity.peer).await? {
        return Err(Problem::not_admitted(
            "This peer was removed: empty its data folder and join anew with another join token.",
        ));
    }
    let now_unix = app.now_ms() / 1_000;
    let standing = certificate.validity.standing(now_unix);
    if good.contains(&standing) {
        return Ok(certificate);
    }
    Err(Problem::no_certificate(why_not(standing, &certificate, now_unix)))
}

fn why_not(standing: CertificateStanding, certificate: &PeerCertificate, now_unix: i64) -> String {
    let validity = certificate.validity;
    let why = match standing {
        CertificateStanding::NotYet => "does not hold yet: set the clocks of manager and peer",
        CertificateStanding::Renewable => {
            "has expired: renew it (POST /peer/v1/renew), and look at the clocks of manager and peer"
        }
        CertificateStanding::Over | CertificateStanding::Valid => {
            "expired too long ago to be renewed: empty the peer's data folder and join anew with a join token"
        }
    };
    format!(
        "The peer's certificate {why}. It holds from {} to {}, and the manager's clock says {now_unix} (Unix seconds).",
        validity.not_before, validity.not_after
    )
}
