//! `POST /api/v1/preheats/{id}/retry`: tries a preheat that failed or was cancelled once more, under its own id.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use preheat::RetryError;

use super::owner;
use crate::server::app::App;
use crate::server::extract::{Allowed, BodyIfAny, Parts, ToPreheat};
use crate::server::problem::{Kind, Problem};
use crate::server::responses::{BadBody, Conflicts, Refusals, Trouble, Unknown};
use crate::types::{PreheatBody, RegistryUser, RetryPreheat};

#[utoipa::path(
    post, path = "/api/v1/preheats/{id}/retry", tag = "preheats", operation_id = "retry_preheat",
    summary = "Retry a preheat that failed or was cancelled",
    description = "Allowed for the token that created the preheat and for tokens with scope `admin`. Peers fetch \
        only what is missing. 409 if it is open or has succeeded, or if the registry needs a credential and none \
        is available.",
    params(("id" = i64, Path, description = "The preheat's id")),
    request_body = Option<RetryPreheat>,
    responses(
        (status = 202, description = "Open again", body = PreheatBody),
        Unknown, Conflicts, BadBody, Refusals, Trouble,
    ),
)]
pub(crate) async fn retry(
    State(app): State<App>,
    allowed: Allowed<ToPreheat>,
    Parts(id): Parts<i64>,
    BodyIfAny(body): BodyIfAny<RetryPreheat>,
) -> Result<(StatusCode, Json<PreheatBody>), Problem> {
    let credential = body.credential.map(RegistryUser::read).transpose()?;
    owner::changed_by(&app, &allowed.caller, id).await?;
    let by = owner::label_of(&allowed.caller);
    let view = preheat::retry(app.preheater(), id, credential, &by)
        .await
        .map_err(refused)?;
    Ok((StatusCode::ACCEPTED, Json(view.into())))
}

fn refused(fault: RetryError) -> Problem {
    match fault {
        RetryError::Unknown(_) => super::get::unknown(),
        RetryError::NotFailed { .. } | RetryError::NoCredential { .. } => {
            Problem::new(Kind::Conflict, format!("{fault}."))
        }
        RetryError::Storage(cause) => Problem::storage(&cause),
    }
}
