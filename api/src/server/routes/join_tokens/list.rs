//! `GET /api/v1/join-tokens`: ids, uses and ends. The tokens themselves are not kept.

use axum::Json;
use axum::extract::State;

use crate::server::app::App;
use crate::server::extract::{Allowed, ToAdminister};
use crate::server::problem::Problem;
use crate::server::responses::{Refusals, Trouble};
use crate::types::{JoinTokenBody, JoinTokens};

#[utoipa::path(
    get, path = "/api/v1/join-tokens", tag = "peers", operation_id = "list_join_tokens",
    summary = "List the join tokens",
    responses((status = 200, description = "The whole list", body = JoinTokens), Refusals, Trouble),
)]
pub(crate) async fn list(
    State(app): State<App>,
    _: Allowed<ToAdminister>,
) -> Result<Json<JoinTokens>, Problem> {
    let tokens = preheat::join_tokens(app.preheater()).await?;
    Ok(Json(JoinTokens {
        join_tokens: tokens.into_iter().map(JoinTokenBody::from).collect(),
    }))
}
