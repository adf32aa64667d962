//! `GET /api/v1/join-tokens`: ids, uses and ends. The tokens themselves are not kept.

use axum::Json;
use axum::extract::State;
use preheat::JoinTokenView;
use serde::Serialize;
use utoipa::ToSchema;
use wire::Role;

use crate::server::app::App;
use crate::server::extract::{Allowed, Instant, ToAdminister};
use crate::server::problem::Problem;
use crate::server::responses::{Refusals, Trouble};

#[derive(Serialize, ToSchema)]
pub(crate) struct JoinTokens {
    join_tokens: Vec<JoinTokenBody>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct JoinTokenBody {
    id: String,
    /// `seed` or `node`.
    #[schema(value_type = String, example = "node")]
    scope: Role,
    cluster: String,
    /// Peers that have joined with it.
    joined: u64,
    /// Peers that may still join with it; none: as many as like.
    joins_left: Option<u64>,
    /// Peers that may join in a minute.
    per_minute: u64,
    #[schema(value_type = String, format = DateTime)]
    created_at: Instant,
    #[schema(value_type = String, format = DateTime)]
    expires_at: Instant,
    #[schema(value_type = Option<String>, format = DateTime)]
    revoked_at: Option<Instant>,
}

#[utoipa::path(
    get, path = "/api/v1/join-tokens", tag = "peers", operation_id = "list_join_tokens",
    summary = "The tokens that peers join with",
    responses((status = 200, description = "All of them", body = JoinTokens), Refusals, Trouble),
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

impl From<JoinTokenView> for JoinTokenBody {
    fn from(view: JoinTokenView) -> Self {
        Self {
            joins_left: view.joins.map(|joins| joins.saturating_sub(view.joined)),
            id: view.id,
            scope: view.role,
            cluster: view.cluster,
            joined: view.joined,
            per_minute: view.per_minute,
            created_at: Instant::from_ms(view.created_ms),
            expires_at: Instant::from_ms(view.expires_ms),
            revoked_at: view.revoked_ms.map(Instant::from_ms),
        }
    }
}
