//! `POST /peer/v1/renew`: a new certificate for the peer, and the key, of the shown one.

use axum::extract::State;
use axum::{Extension, Json};
use wire::{Joined, PeerCertificate};

use crate::server::app::App;
use crate::server::problem::Problem;

pub(crate) async fn renew(
    State(app): State<App>,
    Extension(shown): Extension<PeerCertificate>,
) -> Result<Json<Joined>, Problem> {
    preheat::renewed(app.preheater(), shown.identity.peer).await?;
    app.joined(&shown.identity, shown.public_key).await.map(Json)
}
