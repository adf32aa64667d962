//! The token path that challenges name: passes an exchange on to the true token server and learns which account
//! the token is for. When that server is silent, an account that has kept yeses gets a token of our own.
//!
//! **Invariant:** only token servers are called that an allowed registry named in a challenge. The answer goes back
//! byte for byte; of tokens and passwords nothing is kept but HMACs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::response::Response;
use http::header::{ACCEPT, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use process::http::guarded_client;
use serde::Deserialize;
use tokio::time::timeout;
use tracing::{info, warn};
use wire::Side;

use super::Access;
use super::accounts::LOCAL_LIFETIME;
use super::caller::{CallerKey, Shown, shown};
use super::challenge_relay::KnownRealm;
use super::refusal::{Refusal, json};
use crate::clients::client_options;

const FORM_LIMIT: usize = 64 * 1024;
const FORM_WAIT: Duration = Duration::from_secs(10);
const ANSWER_LIMIT: usize = 1024 * 1024;
/// How long the token server may take, when there is something to fall back on and when there is nothing.
const LIMIT_WITH_A_YES: Duration = Duration::from_secs(3);
const LIMIT_WITHOUT: Duration = Duration::from_secs(15);

/// Clients for token servers, by how their registries' certificates are checked.
#[derive(Default)]
pub(crate) struct Clients(Mutex<HashMap<oci::TlsOptions, reqwest::Client>>);

impl Clients {
    fn get(
        &self,
        tls: &oci::TlsOptions,
        names: &oci::Dial,
    ) -> Result<reqwest::Client, process::http::ClientError> {
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(tls) {
            return Ok(client.clone());
        }
        let made = guarded_client(&client_options(tls), Arc::new(names.clone()))?;
        clients.insert(tls.clone(), made.clone());
        Ok(made)
    }
}

/// What a token server gave.
struct Exchanged {
    status: StatusCode,
    content_type: Option<HeaderValue>,
    body: Bytes,
}

#[derive(Deserialize)]
struct Tokens {
    token: Option<String>,
    access_token: Option<String>,
    refresh_token: Option<String>,
    expires_in: Option<u64>,
}

/// One exchange as the caller sent it.
struct Exchange {
    method: Method,
    /// Without our own `realm`.
    query: Vec<(String, String)>,
    headers: HeaderMap,
    form: Bytes,
}

impl Access {
    pub(crate) async fn token(&self, request: axum::extract::Request) -> Result<Response, Refusal> {
        let (parts, body) = request.into_parts();
        let form = match parts.method {
            Method::GET => Bytes::new(),
            Method::POST => read_form(body).await?,
            _ => {
                return Err(refuse(
                    StatusCode::METHOD_NOT_ALLOWED,
                    "UNSUPPORTED",
                    "GET or POST",
                ));
            }
        };
        let mut query: Vec<(String, String)> =
            url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes())
                .into_owned()
                .collect();
        let realm = query
            .iter()
            .position(|(name, _)| name == "realm")
            .map(|at| query.remove(at).1);
        let known = realm
            .and_then(|realm| self.challenges.realm(&realm, self.neighbours.registries()))
            .filter(|known| known.origins.iter().any(|origin| self.may_dial(origin)))
            .ok_or_else(|| {
                refuse(
                    StatusCode::NOT_FOUND,
                    "DENIED",
                    "no registry that may be dialled has named this token server",
                )
            })?;
        let exchange = Exchange {
            method: parts.method,
            query,
            headers: parts.headers,
            form,
        };
        let account = self.account(&exchange);
        match self
            .exchange(&known, &exchange, self.may_have_local(account, &known))
            .await
        {
            Some(exchanged) => Ok(self.pass_on(&known, &exchange, account, exchanged)),
            None => self.local(&known, account),
        }
    }

    /// Who signs in: by password, by refresh token, or nobody.
    fn account(&self, exchange: &Exchange) -> CallerKey {
        let form: HashMap<String, String> =
            url::form_urlencoded::parse(&exchange.form).into_owned().collect();
        let field = |name: &str| form.get(name).filter(|value| !value.is_empty());
        if let (Some(username), Some(password)) = (form.get("username"), field("password")) {
            return self.keyring.account(username, password);
        }
        if let Some(token) = field("refresh_token") {
            let key = self.keyring.refresh_token(token);
            return self.accounts.owner(key).unwrap_or(key);
        }
        match shown(&exchange.headers, &self.keyring).0 {
            Shown::Nothing => self.keyring.anonymous(),
            Shown::Account(key) | Shown::Token(key) | Shown::LocalToken(key) | Shown::Other(key) => key,
        }
    }

    /// The token server's answer; none when it is silent.
    async fn exchange(&self, known: &KnownRealm, exchange: &Exchange, has_a_yes: bool) -> Option<Exchanged> {
        let server = known.url.origin().ascii_serialization();
        let name = format!("token server {server}");
        if self.silence.lasts(&name) {
            return None;
        }
        let limit = if has_a_yes {
            LIMIT_WITH_A_YES
        } else {
            LIMIT_WITHOUT
        };
        let answered = timeout(limit, self.send(known, exchange)).await;
        match answered.unwrap_or_else(|_| Err(format!("no answer within {} s", limit.as_secs()))) {
            Ok(exchanged) if !tells_nothing(exchanged.status) => return Some(exchanged),
            Ok(exchanged) => warn!(
                server.address = server,
                stoker.side = "registry",
                http.response.status_code = exchanged.status.as_u16(),
                "token server {server} cannot answer"
            ),
            Err(error) => warn!(
                server.address = server,
                stoker.side = "network",
                error,
                "token server {server} is silent"
            ),
        }
        self.silence.begin(&name);
        None
    }

    async fn send(&self, known: &KnownRealm, exchange: &Exchange) -> Result<Exchanged, String> {
        let tls = known
            .origins
            .first()
            .and_then(|origin| self.neighbours.registries().settings(&origin.registry));
        let tls = tls.map(|settings| settings.tls()).unwrap_or_default();
        let dial = self.neighbours.registries().dial();
        let client = self.token_clients.get(&tls, dial);
        let client = client.map_err(|error| error.to_string())?;
        let mut url = known.url.clone();
        if !exchange.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&exchange.query);
        }
        dial.check(&url).await.map_err(|refused| refused.to_string())?;
        let mut request = client.request(exchange.method.clone(), url);
        // Nothing else of a caller's headers is the token server's business.
        for name in [ACCEPT, AUTHORIZATION, CONTENT_TYPE] {
            if let Some(value) = exchange
                .headers
                .get(&name)
                .filter(|_| !is_local(&exchange.headers, &name))
            {
                let mut value = value.clone();
                value.set_sensitive(name == AUTHORIZATION);
                request = request.header(name, value);
            }
        }
        if exchange.method == Method::POST {
            request = request.body(exchange.form.clone());
        }
        let response = request.send().await.map_err(|error| cause(&error))?;
        read_answer(response).await
    }

    fn pass_on(
        &self,
        known: &KnownRealm,
        exchange: &Exchange,
        account: CallerKey,
        exchanged: Exchanged,
    ) -> Response {
        if exchanged.status.is_success() {
            self.remember(account, &exchanged.body);
        }
        // Some servers answer 401 to every POST; a GET that is refused is about the account.
        let is_refused = exchanged.status == StatusCode::UNAUTHORIZED && exchange.method == Method::GET;
        if is_refused && account != self.keyring.anonymous() {
            for origin in &known.origins {
                self.yeses.forget_caller(&account, origin);
            }
        }
        let mut response = Response::new(Body::from(exchanged.body));
        *response.status_mut() = exchanged.status;
        if let Some(content_type) = exchanged.content_type {
            response.headers_mut().insert(CONTENT_TYPE, content_type);
        }
        response
    }

    fn remember(&self, account: CallerKey, body: &[u8]) {
        let Ok(tokens) = serde_json::from_slice::<Tokens>(body) else {
            return;
        };
        let lifetime = tokens.expires_in.map(Duration::from_secs);
        for token in [tokens.token, tokens.access_token].into_iter().flatten() {
            self.accounts
                .remember(self.keyring.token(&token), account, lifetime);
        }
        if let Some(token) = tokens.refresh_token {
            self.accounts
                .remember(self.keyring.refresh_token(&token), account, Some(Duration::MAX));
        }
    }

    fn may_have_local(&self, account: CallerKey, known: &KnownRealm) -> bool {
        let offline = i64::try_from(self.limits.yes_kept_offline.as_millis()).unwrap_or(i64::MAX);
        let since = (self.now)().saturating_sub(offline);
        account == self.keyring.anonymous()
            || known
                .origins
                .iter()
                .any(|origin| self.node_vouches(origin) || self.yeses.any(&account, origin, since))
    }

    fn local(&self, known: &KnownRealm, account: CallerKey) -> Result<Response, Refusal> {
        if !self.may_have_local(account, known) {
            return Err(Refusal::silent(
                "the token server does not answer, and this account has no kept yes of its registry here",
            ));
        }
        let token = self.accounts.local_token(account, &self.keyring);
        info!("token server is silent: an account with kept yeses goes on with a token of this peer");
        let lifetime = LOCAL_LIFETIME.as_secs();
        let body = serde_json::json!({ "token": token, "access_token": token, "expires_in": lifetime });
        let mut response = json(StatusCode::OK, body.to_string());
        response
            .headers_mut()
            .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(response)
    }
}

fn refuse(status: StatusCode, code: &'static str, text: &str) -> Refusal {
    Refusal::Status(status, code, text.to_owned(), Side::Caller)
}

fn tells_nothing(status: StatusCode) -> bool {
    status.is_server_error()
        || matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT
        )
}

/// A token of our own is nobody else's business.
fn is_local(headers: &HeaderMap, name: &http::HeaderName) -> bool {
    let text = |value: &HeaderValue| {
        String::from_utf8_lossy(value.as_bytes()).contains(super::caller::LOCAL_TOKEN_PREFIX)
    };
    *name == AUTHORIZATION && headers.get(name).is_some_and(text)
}

async fn read_form(body: Body) -> Result<Bytes, Refusal> {
    let read = timeout(FORM_WAIT, to_bytes(body, FORM_LIMIT)).await;
    let bad = || {
        refuse(
            StatusCode::BAD_REQUEST,
            "UNSUPPORTED",
            "the form is too long, too slow or broken off",
        )
    };
    read.map_err(|_| bad())?.map_err(|_| bad())
}

async fn read_answer(mut response: reqwest::Response) -> Result<Exchanged, String> {
    let (status, content_type) = (response.status(), response.headers().get(CONTENT_TYPE).cloned());
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| cause(&error))? {
        body.extend_from_slice(&piece);
        if body.len() > ANSWER_LIMIT {
            return Err("its answer is too long".to_owned());
        }
    }
    Ok(Exchanged {
        status,
        content_type,
        body: body.into(),
    })
}

/// The innermost cause: the outer ones repeat the URL, whose query names the account.
fn cause(error: &reqwest::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost.to_string()
}
