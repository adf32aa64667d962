//! `GET /api/v1/tokens`: ids, names, scopes and ends. The tokens themselves are not kept.

use axum::Json;
use axum::extract::State;

use crate::server::app::App;
use crate::server::extract::{Allowed, ToAdminister};
use crate::server::problem::Problem;
use crate::server::responses::{Refusals, Trouble};
use crate::types::{TokenBody, Tokens};

#[utoipa::path(
    get, path = "/api/v1/tokens", tag = "tokens", operation_id = "list_tokens",
    summary = "List the tokens",
    responses((status = 200, description = "The whole list", body = Tokens), Refusals, Trouble),
)]
pub(crate) async fn list(State(app): State<App>, _: Allowed<ToAdminister>) -> Result<Json<Tokens>, Problem> {
    let tokens = preheat::tokens::list(app.preheater()).await?;
    Ok(Json(Tokens {
        tokens: tokens.into_iter().map(TokenBody::from).collect(),
    }))
}
