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
    summary = "Try a preheat again that failed or was cancelled",
    description = "The token that asked for the preheat may do this, and every token with scope `admin`. Only \
        what is missing is fetched. 409 where it is open or succeeded, and where the registry wants a \
        credential and there is none.",
    params(("id" = i64, Path, description = "The preheat's id")),
    request_body = Option<RetryPreheat>,
    responses(
        (status = 202, description = "It is open again", body = PreheatBody),
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
    let by = owner::said(&allowed.caller);
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
