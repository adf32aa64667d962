//! `GET /api/v1/peers`: every peer that has registered, and whether it is connected.

use axum::Json;
use axum::extract::State;

use crate::server::app::App;
use crate::server::extract::{Allowed, ToRead};
use crate::server::problem::Problem;
use crate::server::responses::{Refusals, Trouble};
use crate::types::{PeerBody, Peers};

#[utoipa::path(
    get, path = "/api/v1/peers", tag = "peers", operation_id = "list_peers",
    summary = "List the peers",
    responses((status = 200, description = "The whole list", body = Peers), Refusals, Trouble),
)]
pub(crate) async fn list(State(app): State<App>, _: Allowed<ToRead>) -> Result<Json<Peers>, Problem> {
    let peers = preheat::peers(app.preheater()).await?;
    Ok(Json(Peers {
        peers: peers.into_iter().map(PeerBody::from).collect(),
    }))
}
