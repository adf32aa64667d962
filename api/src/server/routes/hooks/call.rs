//! An authenticated request of a webhook.

use axum::extract::{FromRequest, FromRequestParts as _, Request};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use bytes::Bytes;

use super::proof;
use crate::server::app::App;
use crate::server::extract::{self, Allowed, ToPreheat, json_bytes};
use crate::server::problem::Problem;
use crate::server::triggers::{HookKind, HookSettings};

/// A message of a product that is allowed to report pushes.
pub(crate) struct HookCall {
    pub(super) kind: HookKind,
    pub(super) settings: HookSettings,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// Id of the token; none for a signed message without one.
    pub(super) caller: Option<String>,
}

impl FromRequest<App> for HookCall {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let kind = kind_of(&mut parts, app).await?;
        let settings = app.hook(kind);
        let caller = caller_of(&mut parts, app, &settings).await?;
        let headers = parts.headers.clone();
        let body = json_bytes(Request::from_parts(parts, body), app).await?;
        if let Some(secret) = &settings.secret {
            proof::check(kind, secret, &headers, &body)?;
        }
        Ok(Self {
            kind,
            settings,
            headers,
            body,
            caller,
        })
    }
}

async fn kind_of(parts: &mut Parts, app: &App) -> Result<HookKind, Problem> {
    let unknown = || {
        Problem::not_found(format!(
            "No such kind of webhook: kinds are {}.",
            HookKind::names()
        ))
    };
    let extract::Parts(name): extract::Parts<String> = extract::Parts::from_request_parts(parts, app)
        .await
        .map_err(|_: Problem| unknown())?;
    name.parse().map_err(|_| unknown())
}

/// A token is required if no secret is configured. A wrong token is refused in any case.
async fn caller_of(parts: &mut Parts, app: &App, settings: &HookSettings) -> Result<Option<String>, Problem> {
    if settings.secret.is_some() && !extract::shows_token(parts) {
        return Ok(None);
    }
    let allowed = Allowed::<ToPreheat>::from_request_parts(parts, app).await?;
    Ok(allowed.caller.token)
}
