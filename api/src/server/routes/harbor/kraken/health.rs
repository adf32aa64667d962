//! `GET /health`: Harbor asks before each image. As with `/_ping`, what a POST would need is needed here too.

use axum::http::StatusCode;

use crate::server::extract::{Allowed, ToPreheat};
use crate::server::responses::Refusals;

#[utoipa::path(
    get, path = "/health", tag = "harbor", operation_id = "health",
    summary = "Would a preheat be taken? As Harbor's provider \"Kraken\" asks",
    responses((status = 200, description = "It would"), Refusals),
)]
pub(crate) async fn health(_: Allowed<ToPreheat>) -> StatusCode {
    StatusCode::OK
}
