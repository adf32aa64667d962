//! `DELETE /api/v1/peers/{id}`: the peer is shut out, here and at the doors of all other peers.

use axum::Json;
use axum::extract::State;
use preheat::RemoveError;
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use crate::server::app::App;
use crate::server::extract::{Allowed, Parts, QueryParams, ToAdminister};
use crate::server::problem::{Kind, Problem};
use crate::server::responses::{Conflicts, Refusals, Trouble, Unknown};
use crate::types::RemovedPeer;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct RemoveQuery {
    /// Also revoke the join token that the peer joined with.
    #[serde(default)]
    with_token: bool,
}

#[utoipa::path(
    delete, path = "/api/v1/peers/{id}", tag = "peers", operation_id = "remove_peer",
    summary = "Remove a peer",
    description = "Ends its session and refuses its certificate: at the manager at once, at other peers within \
        seconds, also on open connections. The peer needs a new key and a join token to come back.",
    params(("id" = Uuid, Path, description = "Id of the peer, from the list"), RemoveQuery),
    responses((status = 200, description = "Removed", body = RemovedPeer), Unknown, Conflicts, Refusals, Trouble),
)]
pub(crate) async fn remove(
    State(app): State<App>,
    _: Allowed<ToAdminister>,
    Parts(id): Parts<Uuid>,
    QueryParams(query): QueryParams<RemoveQuery>,
) -> Result<Json<RemovedPeer>, Problem> {
    let removed = preheat::remove_peer(app.preheater(), id, query.with_token).await;
    let removed = removed.map_err(|fault| match fault {
        RemoveError::Unknown(_) => Problem::not_found("There is no peer with this id."),
        RemoveError::Full => Problem::new(Kind::Conflict, format!("{fault}.")),
        RemoveError::Storage(cause) => Problem::storage(&cause),
    })?;
    Ok(Json(RemovedPeer {
        id,
        revoked_token: removed.token,
    }))
}
