//! `GET /api/v1/preheats/{id}`: reads rows only.

use axum::Json;
use axum::extract::State;
use preheat::PreheatView;

use crate::server::app::App;
use crate::server::extract::{Parts, Poller};
use crate::server::problem::Problem;
use crate::server::responses::{Refusals, Trouble, Unknown};
use crate::types::PreheatBody;

#[utoipa::path(
    get, path = "/api/v1/preheats/{id}", tag = "preheats", operation_id = "get_preheat",
    summary = "Show a preheat",
    description = "The token that created the preheat may read it until 30 minutes after the token expired or was \
        revoked.",
    params(("id" = i64, Path, description = "The preheat's id")),
    responses((status = 200, description = "The preheat", body = PreheatBody), Unknown, Refusals, Trouble),
)]
pub(crate) async fn get(
    State(app): State<App>,
    poller: Poller,
    Parts(id): Parts<i64>,
) -> Result<Json<PreheatBody>, Problem> {
    Ok(Json(seen_by(&app, &poller, id).await?.into()))
}

/// Returns the preheat if this caller may see it. Others get the same response whether it exists or not.
pub(crate) async fn seen_by(app: &App, poller: &Poller, id: i64) -> Result<PreheatView, Problem> {
    let view = preheat::get(app.preheater(), id).await?;
    poller.may_see(view.as_ref().and_then(|view| view.created_by.as_deref()))?;
    view.ok_or_else(unknown)
}

pub(crate) fn unknown() -> Problem {
    Problem::not_found("There is no preheat with this id.")
}
