//! Responses of the endpoint: who gets access, and the refusals.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde_json::json;
use url::form_urlencoded;

use super::{HarborEndpointState, HarborPull, HarborRequest, PASSWORD, USER};

const REALM_PATH: &str = "/service/token";

/// What a path below `/v2/` means.
struct Wanted<'path> {
    repository: &'path str,
    kind: &'path str,
    reference: &'path str,
}

impl<'path> Wanted<'path> {
    fn of(path: &'path str) -> Option<Self> {
        let (rest, reference) = path.strip_prefix("/v2/")?.rsplit_once('/')?;
        let (repository, kind) = rest.rsplit_once('/')?;
        matches!(kind, "manifests" | "blobs").then_some(Self {
            repository,
            kind,
            reference,
        })
    }

    fn project(&self) -> &str {
        self.repository.split('/').next().unwrap_or_default()
    }
}

pub(super) async fn answer(State(desk): State<Arc<HarborEndpointState>>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let text = |name: header::HeaderName| {
        let value = parts.headers.get(name)?;
        value.to_str().ok().map(str::to_owned)
    };
    let (path, query) = (parts.uri.path(), parts.uri.query().unwrap_or_default());
    let mut response = if path == REALM_PATH {
        token(&desk, &parts.method, query, &parts.headers)
    } else {
        registry(&desk, &parts.method, path, &parts.headers)
    };
    let mut state = desk.state();
    state.answered += 1;
    let cookie = format!("sid={:032x}; Path=/; HttpOnly", state.answered);
    state.requests.push(HarborRequest {
        method: parts.method.to_string(),
        path: path.to_owned(),
        query: query.to_owned(),
        authorization: text(header::AUTHORIZATION),
        accept: text(header::ACCEPT),
        cookie: text(header::COOKIE),
        range: text(header::RANGE),
        status: response.status().as_u16(),
    });
    let cookie = HeaderValue::from_str(&cookie).expect("plain letters");
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    response
}

/// Issues a token for GET with Basic or anonymously. The token omits scopes that are not granted.
fn token(desk: &HarborEndpointState, method: &Method, query: &str, headers: &HeaderMap) -> Response {
    if method != Method::GET {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let user = match authorization(headers) {
        None => None,
        Some(value) if is_account(value) => Some(USER),
        Some(_) => return error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "unauthorized"),
    };
    let granted: Vec<String> = form_urlencoded::parse(query.as_bytes())
        .filter(|(name, _)| name == "scope")
        .filter_map(|(_, scope)| {
            let (repository, _) = scope.strip_prefix("repository:")?.rsplit_once(':')?;
            let project = repository.split('/').next().unwrap_or_default();
            let is_granted = user.is_some() || desk.state().public.contains(project);
            is_granted.then(|| repository.to_owned())
        })
        .collect();
    let token = desk
        .signer
        .sign_all(user.unwrap_or_default(), &granted, desk.now());
    Json(json!({"token": token, "access_token": "", "expires_in": 1800, "issued_at": "2026-11-21T10:00:00Z"}))
        .into_response()
}

fn registry(desk: &HarborEndpointState, method: &Method, path: &str, headers: &HeaderMap) -> Response {
    let wanted = Wanted::of(path);
    let user = match reader(desk, wanted.as_ref(), authorization(headers)) {
        Ok(user) => user,
        Err(challenge) => return unauthorized(&challenge),
    };
    match wanted {
        None => Json(json!({})).into_response(),
        Some(wanted) if wanted.kind == "blobs" => blob(desk, &wanted, headers),
        Some(wanted) => manifest(desk, method, &wanted, headers, user),
    }
}

/// Returns the reader, or the challenge.
fn reader(
    desk: &HarborEndpointState,
    wanted: Option<&Wanted<'_>>,
    shown: Option<&str>,
) -> Result<String, String> {
    let Some(shown) = shown else {
        // Also of a public project.
        let scope = wanted.map_or_else(String::new, |wanted| {
            format!(",scope=\"repository:{}:pull\"", wanted.repository)
        });
        return Err(format!(
            "Bearer realm=\"http://{}{REALM_PATH}\",service=\"harbor-registry\"{scope}",
            desk.host
        ));
    };
    if is_account(shown) {
        return Ok(USER.to_owned());
    }
    let now = desk.now();
    let bearer = shown
        .strip_prefix("Bearer ")
        .and_then(|token| desk.signer.read(token, now));
    let is_public = wanted.is_none_or(|wanted| desk.state().public.contains(wanted.project()));
    match bearer {
        Some(bearer) if wanted.is_none_or(|wanted| bearer.project.as_deref() == Some(wanted.project())) => {
            Ok(bearer.user)
        }
        // Whatever was shown: anonymous.
        _ if is_public => Ok(String::new()),
        _ => Err("Basic realm=\"harbor\"".to_owned()),
    }
}

fn blob(desk: &HarborEndpointState, wanted: &Wanted<'_>, headers: &HeaderMap) -> Response {
    let name = format!("{}@{}", wanted.repository, wanted.reference);
    let Some(bytes) = desk.state().blobs.get(&name).cloned() else {
        return error(StatusCode::NOT_FOUND, "BLOB_UNKNOWN", "blob unknown to registry");
    };
    let from = headers.get(header::RANGE).and_then(|value| {
        let range = value.to_str().ok()?.strip_prefix("bytes=")?;
        range.strip_suffix('-')?.parse::<usize>().ok()
    });
    match from.filter(|from| *from < bytes.len()) {
        None => (StatusCode::OK, bytes).into_response(),
        Some(from) => {
            let range = format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len());
            (
                StatusCode::PARTIAL_CONTENT,
                [(header::CONTENT_RANGE, range)],
                bytes[from..].to_vec(),
            )
                .into_response()
        }
    }
}

fn manifest(
    desk: &HarborEndpointState,
    method: &Method,
    wanted: &Wanted<'_>,
    headers: &HeaderMap,
    user: String,
) -> Response {
    let joint = if wanted.reference.starts_with("sha256:") {
        '@'
    } else {
        ':'
    };
    let name = format!("{}{joint}{}", wanted.repository, wanted.reference);
    let mut state = desk.state();
    let Some(found) = state.manifests.get(&name) else {
        return error(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", "manifest unknown");
    };
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    if !accept.is_some_and(|accept| accept.contains(&found.media_type)) {
        let words = "OCI manifest found, but accept header does not support OCI manifests";
        return error(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", words);
    }
    let given = [
        ("content-type", found.media_type.clone()),
        ("docker-content-digest", super::digest_of(&found.bytes)),
    ];
    let bytes = found.bytes.clone();
    if method == Method::GET {
        if state.barred.contains(wanted.repository) {
            let words = "current image with \"1\" vulnerabilities cannot be pulled due to configured policy in \
                'Prevent images with vulnerability severity of \"Low\" or higher from running.'";
            return error(StatusCode::PRECONDITION_FAILED, "PROJECTPOLICYVIOLATION", words);
        }
        let repository = wanted.repository.to_owned();
        state.pulls.push(HarborPull { user, repository });
    }
    (StatusCode::OK, given, bytes).into_response()
}

fn unauthorized(challenge: &str) -> Response {
    let mut response = error(
        StatusCode::UNAUTHORIZED,
        "UNAUTHORIZED",
        "unauthorized to access repository",
    );
    let challenge = HeaderValue::from_str(challenge).expect("plain letters");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    response
}

fn error(status: StatusCode, code: &str, message: &str) -> Response {
    (
        status,
        Json(json!({"errors": [{"code": code, "message": message}]})),
    )
        .into_response()
}

fn authorization(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()
}

fn is_account(shown: &str) -> bool {
    let decoded = shown
        .strip_prefix("Basic ")
        .and_then(|pair| STANDARD.decode(pair).ok());
    decoded.is_some_and(|pair| pair == format!("{USER}:{PASSWORD}").into_bytes())
}
