//! `DELETE /api/v1/peers/{id}`: the peer is shut out, here and at the doors of all other peers.

use axum::Json;
use axum::extract::State;
use preheat::RemoveError;
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use crate::server::app::App;
use crate::server::extract::{Allowed, Parts, Question, ToAdminister};
use crate::server::problem::{Kind, Problem};
use crate::server::responses::{Conflicts, Refusals, Trouble, Unknown};
use crate::types::RemovedPeer;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct RemoveQuery {
    /// Revoke the join token that it came by too.
    #[serde(default)]
    with_token: bool,
}

#[utoipa::path(
    delete, path = "/api/v1/peers/{id}", tag = "peers", operation_id = "remove_peer",
    summary = "Remove a peer",
    description = "Its session ends, and its certificate opens nothing any more: at the manager at once, at other peers \
        within seconds, on open connections too. It comes back only with a new key and a join token.",
    params(("id" = Uuid, Path, description = "The peer's id, as the list has it"), RemoveQuery),
    responses((status = 200, description = "Removed, now or before", body = RemovedPeer), Unknown, Conflicts, Refusals, Trouble),
)]
pub(crate) async fn remove(
    State(app): State<App>,
    _: Allowed<ToAdminister>,
    Parts(id): Parts<Uuid>,
    Question(query): Question<RemoveQuery>,
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
