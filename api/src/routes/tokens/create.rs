//! `POST /api/v1/tokens`: the one answer that holds a token.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::SecretText;

use crate::app::App;
use crate::extract::{Allowed, Body, Instant, ToAdminister};
use crate::openapi::{BadBody, Refusals, Trouble};
use crate::problem::Problem;
use crate::tokens::{Created, Lifetime, NotCreated, Scope, Scopes, Wish};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateToken {
    /// A label for people.
    #[schema(example = "harbor")]
    name: String,
    #[schema(value_type = Vec<Scope>)]
    scopes: Vec<String>,
    /// How long it is good for: a number and `w`, `d`, `h` or `m`; `365d` unless given.
    #[schema(example = "365d")]
    expires: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct NewToken {
    id: String,
    name: String,
    #[schema(value_type = Vec<Scope>)]
    scopes: Scopes,
    #[schema(value_type = String, format = DateTime)]
    created_at: Instant,
    #[schema(value_type = String, format = DateTime)]
    expires_at: Instant,
    /// Not kept anywhere: write it down now.
    #[schema(value_type = String)]
    token: SecretText,
}

#[utoipa::path(
    post, path = "/api/v1/tokens", tag = "tokens", operation_id = "create_token",
    summary = "Make a token",
    request_body = CreateToken,
    responses((status = 201, description = "The token; it is shown this once", body = NewToken), BadBody, Refusals, Trouble),
)]
pub(crate) async fn create(
    State(app): State<App>,
    _: Allowed<ToAdminister>,
    Body(body): Body<CreateToken>,
) -> Result<impl IntoResponse, Problem> {
    let wish = body.parse()?;
    let created = crate::tokens::create(app.preheater(), app.caller_key(), wish, app.now_ms())
        .await
        .map_err(not_created)?;
    Ok((
        StatusCode::CREATED,
        [(header::CACHE_CONTROL, "no-store")],
        Json(NewToken::from(created)),
    ))
}

impl CreateToken {
    fn parse(self) -> Result<Wish, Problem> {
        let scopes: Result<Vec<Scope>, _> = self.scopes.iter().map(|scope| scope.parse()).collect();
        let lifetime = self.expires.as_deref().map(str::parse::<Lifetime>).transpose();
        Ok(Wish {
            name: self.name,
            scopes: Scopes::new(scopes.map_err(|fault| Problem::invalid(format!("`scopes`: {fault}.")))?),
            lifetime: lifetime
                .map_err(|fault| Problem::invalid(format!("`expires`: {fault}.")))?
                .unwrap_or_default(),
        })
    }
}

fn not_created(fault: NotCreated) -> Problem {
    match fault {
        NotCreated::Name | NotCreated::NoScope => Problem::invalid(format!("{fault}.")),
        NotCreated::Storage(cause) => Problem::storage(&cause),
        NotCreated::Sign(cause) => Problem::internal(&cause),
    }
}

impl From<Created> for NewToken {
    fn from(created: Created) -> Self {
        let Created { token, text } = created;
        Self {
            id: token.id,
            name: token.name,
            scopes: token.scopes,
            created_at: Instant::from_ms(token.created_ms),
            expires_at: Instant::from_ms(token.expires_ms),
            token: text,
        }
    }
}
