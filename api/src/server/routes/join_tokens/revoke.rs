//! `DELETE /api/v1/join-tokens/{id}`: revokes a join token. Peers that have joined stay.

use axum::extract::State;
use axum::http::StatusCode;

use crate::server::app::App;
use crate::server::extract::{Allowed, Parts, ToAdminister};
use crate::server::problem::Problem;
use crate::server::responses::{Refusals, Trouble, Unknown};

#[utoipa::path(
    delete, path = "/api/v1/join-tokens/{id}", tag = "peers", operation_id = "revoke_join_token",
    summary = "Revoke a join token",
    description = "Peers that joined with it stay. To remove them, use `DELETE /api/v1/peers/{id}`.",
    params(("id" = String, Path, description = "Id of the token, from the list")),
    responses((status = 204, description = "Revoked"), Unknown, Refusals, Trouble),
)]
pub(crate) async fn revoke(
    State(app): State<App>,
    _: Allowed<ToAdminister>,
    Parts(id): Parts<String>,
) -> Result<StatusCode, Problem> {
    if preheat::revoke_join_token(app.preheater(), &id).await? {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(Problem::not_found("There is no join token with this id."))
}
