//! `GET /health`: Harbor calls it before each image. Like `/_ping`, it requires the same token as the POST.

use axum::http::StatusCode;

use crate::server::extract::{Allowed, ToPreheat};
use crate::server::responses::Refusals;

#[utoipa::path(
    get, path = "/health", tag = "harbor", operation_id = "health",
    summary = "Check the connection (Harbor's provider \"Kraken\")",
    responses((status = 200, description = "The manager accepts preheats"), Refusals),
)]
pub(crate) async fn health(_: Allowed<ToPreheat>) -> StatusCode {
    StatusCode::OK
}
