//! `POST /api/v1/preheats/{id}/cancel`: ends an open preheat. Its peers stop within seconds and keep what they have.

use axum::Json;
use axum::extract::State;
use preheat::CancelError;

use super::owner;
use crate::server::app::App;
use crate::server::extract::{Allowed, Parts, ToPreheat};
use crate::server::problem::{Kind, Problem};
use crate::server::responses::{Conflicts, Refusals, Trouble, Unknown};
use crate::types::PreheatBody;

#[utoipa::path(
    post, path = "/api/v1/preheats/{id}/cancel", tag = "preheats", operation_id = "cancel_preheat",
    summary = "Cancel an open preheat",
    description = "Allowed for the token that created the preheat and for tokens with scope `admin`. Peers stop \
        within seconds and keep the bytes that they have. Preheats that followed this one continue on their own.",
    params(("id" = i64, Path, description = "The preheat's id")),
    responses(
        (status = 200, description = "Cancelled", body = PreheatBody),
        Unknown, Conflicts, Refusals, Trouble,
    ),
)]
pub(crate) async fn cancel(
    State(app): State<App>,
    allowed: Allowed<ToPreheat>,
    Parts(id): Parts<i64>,
) -> Result<Json<PreheatBody>, Problem> {
    owner::changed_by(&app, &allowed.caller, id).await?;
    let by = owner::label_of(&allowed.caller);
    let view = preheat::cancel(app.preheater(), id, &by).await.map_err(refused)?;
    Ok(Json(view.into()))
}

fn refused(fault: CancelError) -> Problem {
    match fault {
        CancelError::Unknown(_) => super::get::unknown(),
        CancelError::AlreadyEnded { .. } => Problem::new(Kind::Conflict, format!("{fault}.")),
        CancelError::Storage(cause) => Problem::storage(&cause),
    }
}
