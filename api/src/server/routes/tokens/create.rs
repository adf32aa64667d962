//! `POST /api/v1/tokens`: the one answer that holds a token.

use std::borrow::Cow;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use tracing::info;
use wire::SecretText;

use crate::server::app::{App, Caller};
use crate::server::extract::{Allowed, Body, ToAdminister};
use crate::server::problem::{Kind, Problem};
use crate::server::responses::{BadBody, Refusals, Trouble};
use crate::server::tokens::{Created, Lifetime, NotCreated, Scope, Scopes, TokenWish, endpoint_scopes};
use crate::types::{CreateToken, NewToken, Timestamp};

/// A request for a token, parsed.
enum TokenRequest {
    Caller(TokenWish),
    Endpoint { name: String, lifetime: Lifetime },
}

#[utoipa::path(
    post, path = "/api/v1/tokens", tag = "tokens", operation_id = "create_token",
    summary = "Create a token",
    description = "A token can grant only scopes that it has: scope `admin` grants `preheat`, `read` and `admin`. \
        The first start of the manager writes a token with every scope to `admin.token`.",
    request_body = CreateToken,
    responses((status = 201, description = "The token; it is shown only in this response", body = NewToken), BadBody, Refusals, Trouble),
)]
pub(crate) async fn create(
    State(app): State<App>,
    Allowed { caller, .. }: Allowed<ToAdminister>,
    Body(body): Body<CreateToken>,
) -> Result<impl IntoResponse, Problem> {
    let (preheater, now) = (app.preheater(), app.now_ms());
    let asked = body.parse()?;
    if let Some(scope) = caller.scopes.may_not_give(&asked.scopes()) {
        return Err(not_given(scope));
    }
    let (created, endpoint) = match asked {
        TokenRequest::Caller(wish) => (
            crate::server::tokens::create(preheater, app.caller_key(), wish, now).await,
            None,
        ),
        TokenRequest::Endpoint { name, lifetime } => (
            crate::server::tokens::create_endpoint(preheater, name, lifetime, now).await,
            Some(app.public_url().unwrap_or_default()),
        ),
    };
    let created = created.map_err(not_created)?;
    log_created(&caller, &created);
    let endpoint = endpoint.map(|base| SecretText::new(format!("{base}/t/{}", created.text.expose())));
    Ok((
        StatusCode::CREATED,
        [(header::CACHE_CONTROL, "no-store")],
        Json(NewToken {
            endpoint,
            ..NewToken::from(created)
        }),
    ))
}

impl TokenRequest {
    fn scopes(&self) -> Cow<'_, Scopes> {
        match self {
            Self::Caller(wish) => Cow::Borrowed(&wish.scopes),
            Self::Endpoint { .. } => Cow::Owned(endpoint_scopes()),
        }
    }
}

/// Logs which caller created which token.
fn log_created(caller: &Caller, created: &Created) {
    let scopes: Vec<&str> = created.token.scopes.iter().map(Scope::as_str).collect();
    info!(
        token.id = created.token.id,
        token.name = created.token.name,
        token.scopes = scopes.join(","),
        made_by = caller.token.as_deref().unwrap_or("a caller without a token"),
        "token made"
    );
}

fn not_given(scope: Scope) -> Problem {
    Problem::new(
        Kind::Scope,
        format!(
            "A token gives only scopes that it has itself, and this one has no scope `{scope}`: use one that has it, for \
             example the first token (`admin.token` in the manager's data folder)."
        ),
    )
}

impl CreateToken {
    fn parse(self) -> Result<TokenRequest, Problem> {
        let scopes: Result<Vec<Scope>, _> = self.scopes.iter().map(|scope| scope.parse()).collect();
        let scopes = Scopes::new(scopes.map_err(|fault| Problem::invalid(format!("`scopes`: {fault}.")))?);
        let lifetime = self.expires.as_deref().map(str::parse::<Lifetime>).transpose();
        let lifetime = lifetime
            .map_err(|fault| Problem::invalid(format!("`expires`: {fault}.")))?
            .unwrap_or_default();
        let name = self.name;
        match self.kind.as_deref() {
            None | Some("caller") => Ok(TokenRequest::Caller(TokenWish {
                name,
                scopes,
                lifetime,
            })),
            Some("endpoint") if scopes.is_empty() || scopes == endpoint_scopes() => {
                Ok(TokenRequest::Endpoint { name, lifetime })
            }
            Some("endpoint") => Err(Problem::invalid(
                "`scopes`: a token of kind `endpoint` has scope `preheat` and no other: leave `scopes` out.",
            )),
            Some(_) => Err(Problem::invalid(
                "`kind` is none that is understood here: write \"caller\" or \"endpoint\".",
            )),
        }
    }
}

fn not_created(fault: NotCreated) -> Problem {
    match fault {
        NotCreated::Name | NotCreated::NoScope => Problem::invalid(format!("{fault}.")),
        NotCreated::Storage(cause) => Problem::storage(&cause),
        NotCreated::NoRandomness => Problem::internal(&fault),
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
            created_at: Timestamp::from_ms(token.created_ms),
            expires_at: Timestamp::from_ms(token.expires_ms),
            token: text,
            endpoint: None,
        }
    }
}
