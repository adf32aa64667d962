//! `GET /healthy`: Harbor calls it before each job. A wrong token is refused here too, so that "Test connection"
//! tests the token of the jobs.

use axum::http::StatusCode;

use crate::server::extract::Presented;
use crate::server::responses::WrongToken;

#[utoipa::path(
    get, path = "/healthy", tag = "harbor", operation_id = "healthy",
    summary = "Check the connection and the token (Harbor 2.12 and newer)",
    description = "Without a credential: 200. With a credential: 200 only if it is valid.",
    responses((status = 200, description = "The manager runs, and the credential, if one was sent, is valid"), WrongToken),
    security((), ("bearer" = []), ("basic" = [])),
)]
pub(crate) async fn healthy(_: Presented) -> StatusCode {
    StatusCode::OK
}
