//! `GET /api/v1/tokens`: ids, names, scopes and ends. The tokens themselves are not kept.

use axum::Json;
use axum::extract::State;
use preheat::tokens::TokenView;
use serde::Serialize;
use utoipa::ToSchema;

use crate::server::app::App;
use crate::server::extract::{Allowed, Instant, ToAdminister};
use crate::server::problem::Problem;
use crate::server::responses::{Refusals, Trouble};

#[derive(Serialize, ToSchema)]
pub(crate) struct Tokens {
    tokens: Vec<TokenBody>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct TokenBody {
    id: String,
    name: String,
    /// `caller` or `endpoint`.
    kind: &'static str,
    #[schema(example = json!(["preheat"]))]
    scopes: Vec<String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Instant,
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Instant>,
    #[schema(value_type = Option<String>, format = DateTime)]
    revoked_at: Option<Instant>,
}

#[utoipa::path(
    get, path = "/api/v1/tokens", tag = "tokens", operation_id = "list_tokens",
    summary = "The tokens that were made",
    responses((status = 200, description = "All of them", body = Tokens), Refusals, Trouble),
)]
pub(crate) async fn list(State(app): State<App>, _: Allowed<ToAdminister>) -> Result<Json<Tokens>, Problem> {
    let tokens = preheat::tokens::list(app.preheater()).await?;
    Ok(Json(Tokens {
        tokens: tokens.into_iter().map(TokenBody::from).collect(),
    }))
}

impl From<TokenView> for TokenBody {
    fn from(view: TokenView) -> Self {
        Self {
            id: view.id,
            name: view.name,
            kind: if view.is_endpoint { "endpoint" } else { "caller" },
            scopes: view.scopes,
            created_at: Instant::from_ms(view.created_ms),
            expires_at: view.expires_ms.map(Instant::from_ms),
            revoked_at: view.revoked_ms.map(Instant::from_ms),
        }
    }
}
