//! The two ways to request a token.

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, StatusCode, header};
use serde_json::json;
use url::form_urlencoded;

use super::sign::Access;
use super::{Exchange, TokenServerState};

/// Returns the signed-in user; an identity token stands for an earlier sign-in.
struct Caller {
    user: String,
    password: Option<String>,
}

struct Asked {
    method: &'static str,
    caller: Option<Caller>,
    scopes: Vec<String>,
}

/// `GET /token?service=…&scope=repository:a/b:pull&scope=…`, with Basic or without.
pub(super) async fn get(
    State(desk): State<Arc<TokenServerState>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let query = query.unwrap_or_default();
    let scopes = form_urlencoded::parse(query.as_bytes())
        .filter(|(name, _)| name == "scope")
        .flat_map(|(_, value)| words(&value))
        .collect();
    let caller = match headers.get(header::AUTHORIZATION) {
        None => None,
        Some(value) => match basic(value.to_str().unwrap_or_default()) {
            Some(caller) => Some(caller),
            None => return StatusCode::UNAUTHORIZED.into_response(),
        },
    };
    let asked = Asked {
        method: "GET",
        caller,
        scopes,
    };
    answer(&desk, asked)
}

/// `grant_type=password&username=…&password=…&scope=…`, as containerd sends it, or
/// `grant_type=refresh_token&refresh_token=…`.
pub(super) async fn post(State(desk): State<Arc<TokenServerState>>, form: String) -> Response {
    let field = |wanted: &str| {
        let mut fields = form_urlencoded::parse(form.as_bytes());
        fields
            .find(|(name, _)| name == wanted)
            .map(|(_, value)| value.into_owned())
            .unwrap_or_default()
    };
    let caller = match field("grant_type").as_str() {
        "password" => Caller {
            user: field("username"),
            password: Some(field("password")),
        },
        "refresh_token" => match desk.identities().get(&field("refresh_token")) {
            Some(user) => Caller {
                user: user.clone(),
                password: None,
            },
            None => return StatusCode::UNAUTHORIZED.into_response(),
        },
        _ => return StatusCode::BAD_REQUEST.into_response(),
    };
    let asked = Asked {
        method: "POST",
        caller: Some(caller),
        scopes: words(&field("scope")),
    };
    answer(&desk, asked)
}

fn answer(desk: &TokenServerState, asked: Asked) -> Response {
    let known = asked.caller.as_ref().is_none_or(|caller| match &caller.password {
        Some(password) => desk.spec().knows(&caller.user, password),
        None => true,
    });
    let status = if known {
        StatusCode::OK
    } else {
        StatusCode::UNAUTHORIZED
    };
    let user = asked.caller.map(|caller| caller.user);
    let access = asked
        .scopes
        .iter()
        .filter_map(|scope| access(desk, user.as_deref(), scope))
        .collect();
    desk.note(Exchange {
        method: asked.method.to_owned(),
        user: user.clone(),
        scopes: asked.scopes,
        status: status.as_u16(),
    });
    if !known {
        let refusal = json!({"errors": [{"code": "UNAUTHORIZED", "message": "wrong user or password"}]});
        return (status, Json(refusal)).into_response();
    }
    let lifetime = desk.spec().tokens_last();
    let token = desk
        .signer
        .sign(user.as_deref().unwrap_or_default(), access, lifetime);
    Json(json!({"token": token, "access_token": token, "expires_in": lifetime.as_secs()})).into_response()
}

/// `repository:a/b:pull,push`. What is not granted is left out, as token servers do.
fn access(desk: &TokenServerState, user: Option<&str>, scope: &str) -> Option<Access> {
    let (repository, actions) = scope.strip_prefix("repository:")?.rsplit_once(':')?;
    let asked: Vec<&str> = actions.split(',').collect();
    let granted = desk.spec().granted(user, repository, &asked);
    (!granted.is_empty()).then(|| Access::new(repository, granted))
}

fn basic(value: &str) -> Option<Caller> {
    let decoded = STANDARD.decode(value.strip_prefix("Basic ")?).ok()?;
    let (user, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some(Caller {
        user: user.to_owned(),
        password: Some(password.to_owned()),
    })
}

fn words(text: &str) -> Vec<String> {
    text.split(' ')
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}
