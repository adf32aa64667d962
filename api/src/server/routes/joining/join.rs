//! `POST /peer/v1/join`: a join token and a public key come in, a certificate goes out.

use std::net::SocketAddr;

use axum::Json;
use axum::extract::{ConnectInfo, State};
use preheat::{Applicant, JoinError, NotJoined};
use tracing::{info, warn};
use wire::{JoinRequest, JoinToken, Joined};

use crate::server::app::App;
use crate::server::extract::Body;
use crate::server::problem::{Kind, Problem};

pub(crate) async fn join(
    State(app): State<App>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    Body(request): Body<JoinRequest>,
) -> Result<Json<Joined>, Problem> {
    if !app.attempts().note(from.ip().to_canonical(), app.now_ms()) {
        return Err(Problem::new(
            Kind::TooMany,
            "Too many attempts to join from this address: try again in a minute.",
        ));
    }
    let token: JoinToken = request
        .token
        .expose()
        .parse()
        .map_err(|fault| Problem::not_admitted(format!("{fault}.")))?;
    if token.ca != app.authority().fingerprint() {
        return Err(Problem::not_admitted(
            "The join token is of another manager: make one here with `stoker token create --scope node`.",
        ));
    }
    let applicant = Applicant {
        secret_hash: token.secret_hash(),
        token_id: token.id,
        key_hash: request.public_key.hash(),
        clock_unix_ms: request.clock_unix_ms,
        wire_version: request.wire_version,
    };
    let identity = preheat::join(app.preheater(), applicant)
        .await
        .map_err(not_joined)?;
    info!(
        stoker.peer_id = %identity.peer,
        stoker.role = identity.role.word(),
        stoker.cluster = %identity.cluster,
        "peer joined"
    );
    app.joined(&identity, request.public_key).await.map(Json)
}

fn not_joined(error: JoinError) -> Problem {
    let refusal = match error {
        JoinError::Refused(refusal) => refusal,
        JoinError::Storage(cause) => return Problem::storage(&cause),
    };
    warn!(stoker.side = "peer", because = %refusal, "a peer was not let in");
    let kind = match refusal {
        NotJoined::TooFast(_) | NotJoined::Crowd(_) => Kind::TooMany,
        NotJoined::Full(_) | NotJoined::TooManyClusters(_) => Kind::Conflict,
        NotJoined::Clock { .. } | NotJoined::Version { .. } => Kind::Invalid,
        _ => Kind::NotAdmitted,
    };
    let mut detail = format!("{refusal}.");
    if let Some(first) = detail.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    Problem::new(kind, detail)
}
