//! Receives a peer's reply to a question of the manager. A late reply is dropped.

use axum::extract::State;
use axum::http::StatusCode;
use uuid::Uuid;
use wire::Reply;

use crate::server::app::App;
use crate::server::extract::{Body, Parts};
use crate::server::problem::Problem;

pub(crate) async fn answer(
    State(app): State<App>,
    Parts((session, question)): Parts<(Uuid, Uuid)>,
    Body(reply): Body<Reply>,
) -> Result<StatusCode, Problem> {
    if preheat::answer(app.preheater(), session, question, reply).await? {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(Problem::not_found("Nobody waits for an answer to this question."))
}
