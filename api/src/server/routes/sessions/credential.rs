//! The one answer that holds a registry credential: to a peer, for the work that it has in hand.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, header};
use uuid::Uuid;
use wire::SecretText;

use crate::server::app::App;
use crate::server::extract::Parts;
use crate::server::problem::Problem;

type Unstored = [(HeaderName, &'static str); 1];

pub(crate) async fn credential(
    State(app): State<App>,
    Parts((session, credential)): Parts<(Uuid, String)>,
) -> Result<(Unstored, Json<SecretText>), Problem> {
    let found = preheat::credential(app.preheater(), session, &credential).await?;
    let value = found.ok_or_else(|| Problem::not_found("This credential is gone: its preheat has ended."))?;
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(value)))
}
