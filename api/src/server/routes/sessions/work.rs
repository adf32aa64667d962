//! The long poll: answers when there is work for this peer, or when the wait is over.

use axum::Json;
use axum::extract::State;
use uuid::Uuid;
use wire::{TakeRequest, TakeResponse};

use crate::server::app::App;
use crate::server::extract::{Body, Parts};
use crate::server::problem::Problem;

pub(crate) async fn work(
    State(app): State<App>,
    Parts(session): Parts<Uuid>,
    Body(request): Body<TakeRequest>,
) -> Result<Json<TakeResponse>, Problem> {
    Ok(Json(preheat::take(app.preheater(), session, request).await?))
}
