//! `DELETE /api/v1/tokens/{id}`: the token opens nothing any more, but for polls of the jobs that it made.

use axum::extract::State;
use axum::http::StatusCode;
use preheat::tokens::{Standing, revoke as revoke_token, standing};

use crate::server::app::App;
use crate::server::extract::{Allowed, Parts, ToAdminister};
use crate::server::problem::Problem;
use crate::server::responses::{Refusals, Trouble, Unknown};

#[utoipa::path(
    delete, path = "/api/v1/tokens/{id}", tag = "tokens", operation_id = "revoke_token",
    summary = "Revoke a token",
    description = "It may still poll the preheats that it created for 30 minutes, because running jobs of Harbor \
        keep the old token.",
    params(("id" = String, Path, description = "Id of the token, from the list")),
    responses((status = 204, description = "Revoked"), Unknown, Refusals, Trouble),
)]
pub(crate) async fn revoke(
    State(app): State<App>,
    _: Allowed<ToAdminister>,
    Parts(id): Parts<String>,
) -> Result<StatusCode, Problem> {
    let is_new = revoke_token(app.preheater(), &id).await?;
    if is_new || standing(app.preheater(), &id).await? != Standing::Unknown {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(Problem::not_found("There is no token with this id."))
}
