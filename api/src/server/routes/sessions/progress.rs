//! The bytes of all that a peer has in hand, in one call; also its heartbeat.

use axum::Json;
use axum::extract::State;
use uuid::Uuid;
use wire::{ProgressReport, ProgressResponse};

use crate::server::app::App;
use crate::server::extract::{Body, Parts};
use crate::server::problem::Problem;

pub(crate) async fn progress(
    State(app): State<App>,
    Parts(session): Parts<Uuid>,
    Body(report): Body<ProgressReport>,
) -> Result<Json<ProgressResponse>, Problem> {
    Ok(Json(preheat::progress(app.preheater(), session, report).await?))
}
