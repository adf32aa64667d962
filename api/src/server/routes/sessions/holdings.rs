//! What a peer holds, in batches.

use axum::extract::State;
use axum::http::StatusCode;
use uuid::Uuid;
use wire::HoldingsReport;

use crate::server::app::App;
use crate::server::extract::{Body, Parts};
use crate::server::problem::Problem;

pub(crate) async fn holdings(
    State(app): State<App>,
    Parts(session): Parts<Uuid>,
    Body(report): Body<HoldingsReport>,
) -> Result<StatusCode, Problem> {
    preheat::holdings(app.preheater(), session, report).await?;
    Ok(StatusCode::NO_CONTENT)
}
