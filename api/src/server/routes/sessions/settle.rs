//! Outcomes. A peer repeats them until they are acknowledged, so saying one twice changes nothing.

use axum::Json;
use axum::extract::State;
use uuid::Uuid;
use wire::{SettleRequest, SettleResponse};

use crate::server::app::App;
use crate::server::extract::{Body, Parts};
use crate::server::problem::Problem;

pub(crate) async fn settle(
    State(app): State<App>,
    Parts(session): Parts<Uuid>,
    Body(request): Body<SettleRequest>,
) -> Result<Json<SettleResponse>, Problem> {
    Ok(Json(preheat::settle(app.preheater(), session, request).await?))
}
