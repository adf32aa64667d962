//! `GET /_ping`: Harbor calls it before each preheat. It requires the same token as preheats do: a ping without a
//! token would show an instance as healthy whose every job is refused.

use axum::http::StatusCode;

use crate::server::extract::{Allowed, ToPreheat};
use crate::server::responses::Refusals;

#[utoipa::path(
    get, path = "/_ping", tag = "harbor", operation_id = "ping",
    summary = "Check the connection (Harbor 2.1 to 2.11)",
    responses((status = 200, description = "The manager accepts preheats"), Refusals),
)]
pub(crate) async fn ping(_: Allowed<ToPreheat>) -> StatusCode {
    StatusCode::OK
}
