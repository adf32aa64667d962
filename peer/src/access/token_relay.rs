//! Serves the token path that our challenges name: relays a token request to the registry's token server, and learns the
//! account of the issued token. While that server is unreachable, an account with kept grants gets a token of our own.
//!
//! **Invariant:** only token servers that an allowed registry named in a challenge are called. A token's account counts
//! only at that registry. The response is passed on byte for byte. Of tokens and passwords, only HMACs are kept.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::Response;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use http::{Method, StatusCode};
use oci::{Probe, TokenAnswer, broke_before_the_head, moved_to_https, retry_after};
use tokio::time::timeout;
use tracing::{info, warn};

use super::accounts::LOCAL_LIFETIME;
use super::caller::Caller;
use super::caller_key::{CallerKey, ShownCredential, shown};
use super::challenge_relay::KnownRealm;
use super::failure::Failure;
use super::issuer::Issuer;
use super::questions::patience;
use super::reach::PROBE_LIMIT;
use super::refusal::Refusal;
use super::response::json_response;
use super::state::Access;
use super::token_request::{TokenRequest, refuse};

const ANSWER_LIMIT: usize = 1024 * 1024;
/// How long the token server may take.
const LIMIT: Duration = Duration::from_secs(30);

/// A token server's response.
struct TokenResponse {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

/// The outcome of a token request.
enum TokenOutcome {
    Answered(TokenResponse),
    Failed(Failure),
    Unreachable,
}

impl Access {
    pub(crate) async fn token(&self, request: axum::extract::Request) -> Result<Response, Refusal> {
        let mut request = TokenRequest::read(request, &self.keyring).await?;
        if !request.names("realm") {
            return self.token_by_scope(request).await;
        }
        let known = self.known_realm(&mut request).ok_or_else(|| {
            refuse(
                StatusCode::NOT_FOUND,
                "DENIED",
                "the token server is unknown: no allowed registry named it in its last challenge",
            )
        })?;
        self.exchange(&known, &request).await
    }

    /// Relays the request to this token server.
    pub(super) async fn exchange(
        &self,
        known: &KnownRealm,
        request: &TokenRequest,
    ) -> Result<Response, Refusal> {
        let account = self.account(known, request);
        let has_grant = self.may_have_local(account, known);
        match self.relay(known, request, has_grant).await {
            TokenOutcome::Answered(response) => Ok(self.pass_on(known, request, account, response)),
            TokenOutcome::Failed(failure) => Err(Refusal::Failed(failure)),
            TokenOutcome::Unreachable => self.local(known, account),
        }
    }

    /// Returns the token server in the request's query, if the registry in it named that server. Removes both from the
    /// query.
    fn known_realm(&self, request: &mut TokenRequest) -> Option<KnownRealm> {
        let (registry, realm) = (request.take("registry")?, request.take("realm")?);
        let origin = registry.parse().ok()?;
        let known = self
            .challenges
            .realm(&realm, &origin, self.neighbours.registries())?;
        self.allowed().contains(&origin).then_some(known)
    }

    /// Returns the account that signs in: by password, by refresh token, or the anonymous caller.
    fn account(&self, known: &KnownRealm, request: &TokenRequest) -> CallerKey {
        let form = request.form_fields();
        let field = |name: &str| form.get(name).filter(|value| !value.is_empty());
        if let (Some(username), Some(password)) = (form.get("username"), field("password")) {
            return self.keyring.account(username, password);
        }
        if let Some(token) = field("refresh_token") {
            let key = self.keyring.refresh_token(token);
            let owner = self.accounts.owner(self.keyring.issued(key, &known.issuer));
            return owner.unwrap_or(key);
        }
        match shown(&request.headers, &self.keyring).0 {
            ShownCredential::Nothing => self.keyring.anonymous(),
            ShownCredential::Account(key)
            | ShownCredential::Token(key)
            | ShownCredential::LocalToken(key)
            | ShownCredential::Other(key) => key,
        }
    }

    async fn relay(&self, known: &KnownRealm, request: &TokenRequest, has_grant: bool) -> TokenOutcome {
        let (server, name) = (known.server(), known.name());
        let probe = self.probe_token_server(known);
        if self.reach.is_still_unreachable(&name, probe).await {
            return TokenOutcome::Unreachable;
        }
        let sending = timeout(LIMIT, self.send(known, request));
        let probe = self.probe_token_server(known);
        let answered = self
            .reach
            .unless_unreachable(&name, patience(has_grant), sending, probe);
        let Some(answered) = answered.await else {
            return unreachable(&server);
        };
        let late = |_| Err(format!("no answer within {} s", LIMIT.as_secs()));
        let failure = match answered.unwrap_or_else(late) {
            Ok(response) if !response.status.is_server_error() => {
                self.reach.answered(&name);
                return TokenOutcome::Answered(response);
            }
            Ok(response) => response.failure(&server),
            Err(cause) => Failure::of_network(format!("token server {server} did not answer: {cause}")),
        };
        let probe = self.probe_token_server(known);
        if self.reach.is_unreachable(&name, probe).await {
            return unreachable(&server);
        }
        warn!(
            server.address = server,
            stoker.side = failure.side.word(),
            error = failure.text,
            "token server did not answer one request"
        );
        TokenOutcome::Failed(failure)
    }

    /// Returns whether the token server of the caller's registry is known to be unreachable.
    pub(super) async fn token_server_is_unreachable(&self, caller: &Caller) -> bool {
        let registries = self.neighbours.registries();
        let Some(known) = self.challenges.realm_of(&caller.location().origin, registries) else {
            return false;
        };
        let probe = self.probe_token_server(&known);
        self.reach.is_still_unreachable(&known.name(), probe).await
    }

    /// Probes without a credential or a query: any status below 500 means that the server is reachable.
    async fn probe_token_server(&self, known: &KnownRealm) -> Probe {
        let options = self.options_for(known);
        let dial = self.neighbours.registries().dial().for_client(&options);
        if dial.check(&known.url).await.is_err() {
            return Probe::NotAsked;
        }
        match self.token_clients.get(&fresh(options), &dial) {
            Ok(client) => Probe::send(&client, known.url.clone(), PROBE_LIMIT).await,
            Err(_) => Probe::NotAsked,
        }
    }

    fn options_for(&self, known: &KnownRealm) -> oci::TlsOptions {
        let registry = &known.issuer.origin.registry;
        let tls = self.neighbours.registries().settings(registry);
        oci::TlsOptions {
            outside_only: !known.may_be_inside,
            ..tls.map(|settings| settings.tls()).unwrap_or_default()
        }
    }

    async fn send(&self, known: &KnownRealm, request: &TokenRequest) -> Result<TokenResponse, String> {
        let sent = self.send_to(known, &known.url, request).await?;
        match moved_to_https(&known.url, sent.status, &sent.headers) {
            Some(url) => self.send_to(known, &url, request).await,
            None => Ok(sent),
        }
    }

    async fn send_to(
        &self,
        known: &KnownRealm,
        realm: &url::Url,
        request: &TokenRequest,
    ) -> Result<TokenResponse, String> {
        let options = self.options_for(known);
        let dial = self.neighbours.registries().dial().for_client(&options);
        let url = realm.clone();
        dial.check(&url).await.map_err(|refused| refused.to_string())?;
        let client = |options| {
            let client = self.token_clients.get(&options, &dial);
            client.map_err(|error| error.to_string())
        };
        let request = request.request(url);
        let again = request.try_clone();
        let sent = match (client(options.clone())?.execute(request).await, again) {
            // A repeated request only issues one more token.
            (Err(error), Some(again)) if broke_before_the_head(&error) => {
                client(fresh(options))?.execute(again).await
            }
            (sent, _) => sent,
        };
        read_answer(sent.map_err(|error| cause(&error))?).await
    }

    fn pass_on(
        &self,
        known: &KnownRealm,
        request: &TokenRequest,
        account: CallerKey,
        issued: TokenResponse,
    ) -> Response {
        if issued.status.is_success() && request.is_for(&known.issuer) {
            self.keep_accounts(&known.issuer, account, &issued.body);
        }
        // Some servers answer 401 to every POST, so only a refused GET concerns the account.
        let is_refused = issued.status == StatusCode::UNAUTHORIZED && request.method == Method::GET;
        if is_refused && account != self.keyring.anonymous() {
            for origin in self.challenges.named_by(&known.url) {
                self.grants.forget_caller(&account, &origin);
            }
        }
        let mut response = Response::new(Body::from(issued.body));
        *response.status_mut() = issued.status;
        for name in [CONTENT_TYPE, RETRY_AFTER] {
            if let Some(value) = issued.headers.get(&name) {
                response.headers_mut().insert(name, value.clone());
            }
        }
        response
    }

    fn keep_accounts(&self, issuer: &Issuer, account: CallerKey, body: &[u8]) {
        let Ok(answer) = TokenAnswer::parse(body) else {
            return;
        };
        for token in &answer.tokens {
            let token = self.keyring.issued(self.keyring.token(token.expose()), issuer);
            self.accounts.remember(token, account, answer.lifetime);
        }
        if let Some(token) = &answer.refresh_token {
            let token = self
                .keyring
                .issued(self.keyring.refresh_token(token.expose()), issuer);
            self.accounts.remember(token, account, Some(Duration::MAX));
        }
    }

    fn may_have_local(&self, account: CallerKey, known: &KnownRealm) -> bool {
        let offline = i64::try_from(self.limits.yes_kept_offline.as_millis()).unwrap_or(i64::MAX);
        let since = (self.now)().saturating_sub(offline);
        let origin = &known.issuer.origin;
        account == self.keyring.anonymous()
            || self.node_vouches(origin)
            || self.grants.any(&account, origin, since)
    }

    fn local(&self, known: &KnownRealm, account: CallerKey) -> Result<Response, Refusal> {
        if !self.may_have_local(account, known) {
            return Err(Refusal::unreachable(
                "the token server is unreachable, and this account has no kept grant: pull again when it is back",
            ));
        }
        let token = self.accounts.local_token(account, &known.issuer, &self.keyring);
        info!("token server unreachable, issued a token of this peer");
        Ok(own_token(&token, LOCAL_LIFETIME))
    }
}

/// Returns the response with a token of our own.
pub(super) fn own_token(token: &str, lifetime: Duration) -> Response {
    let lifetime = lifetime.as_secs();
    let body = serde_json::json!({ "token": token, "access_token": token, "expires_in": lifetime });
    let mut response = json_response(StatusCode::OK, body.to_string());
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn unreachable(server: &str) -> TokenOutcome {
    warn!(
        server.address = server,
        stoker.side = "network",
        "token server is unreachable"
    );
    TokenOutcome::Unreachable
}

fn fresh(options: oci::TlsOptions) -> oci::TlsOptions {
    oci::TlsOptions {
        fresh: true,
        ..options
    }
}

impl KnownRealm {
    /// Scheme, host and port.
    fn server(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// Returns the key of its reach. Each registry that names this server has a key of its own, since certificates may be
    /// checked differently, and so has a registry on the same host.
    fn name(&self) -> String {
        format!("token server {} of {}", self.url, self.issuer.origin)
    }
}

impl TokenResponse {
    fn failure(&self, server: &str) -> Failure {
        let status = self.status;
        Failure {
            status: Some(status),
            retry_after: retry_after(&self.headers),
            ..Failure::of_registry(format!("token server {server} answered {}", status.as_u16()))
        }
    }
}

async fn read_answer(mut response: reqwest::Response) -> Result<TokenResponse, String> {
    let (status, headers) = (response.status(), response.headers().clone());
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| cause(&error))? {
        body.extend_from_slice(&piece);
        if body.len() > ANSWER_LIMIT {
            return Err("its response is too long".to_owned());
        }
    }
    Ok(TokenResponse {
        status,
        headers,
        body: body.into(),
    })
}

/// Returns the innermost cause: the outer ones contain the URL, whose query names the account.
fn cause(error: &reqwest::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost.to_string()
}
