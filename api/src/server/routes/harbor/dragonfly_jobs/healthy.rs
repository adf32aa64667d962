//! `GET /healthy`: Harbor asks before each job. A wrong token is refused here too, so that "Test connection"
//! tests what the jobs will use.

use axum::http::StatusCode;

use crate::server::extract::Presented;
use crate::server::responses::WrongToken;

#[utoipa::path(
    get, path = "/healthy", tag = "harbor", operation_id = "healthy",
    summary = "Is the manager there, and is the token right?",
    description = "Without a credential: 200. With one: 200 only if it is good.",
    responses((status = 200, description = "There, and the credential, if one was sent, is good"), WrongToken),
    security((), ("bearer" = []), ("basic" = [])),
)]
pub(crate) async fn healthy(_: Presented) -> StatusCode {
    StatusCode::OK
}
