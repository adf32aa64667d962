//! Exchanges a credential for a token at the realm of a Bearer challenge.
//!
//! **Invariant:** a credential goes only to a realm that [`check_realm`] allows, and redirects are not followed. A realm
//! may have a private address only if its registry is configured or private itself. User name and password are sent
//! by GET, as docker does, so that a wrong password counts as one failed attempt; if the server does not support GET,
//! by POST. An identity token is sent by POST only.

use std::time::Duration;

use http::{HeaderValue, Method, StatusCode, header};
use serde::Deserialize;
use url::{Url, form_urlencoded};

use super::client::Registry;
use super::request::{History, Request, sensitive};
use super::response::RegistryResponse;
use super::tokens::Token;
use crate::challenge::{Challenge, check_realm};
use crate::clients::DialMode;
use crate::{Credential, RegistryError, Secret};

const TOKEN_BYTES: usize = 256 * 1024;
/// The distribution specification's default lifetime, in seconds.
const DEFAULT_LIFETIME: u64 = 60;
const LONGEST_LIFETIME: u64 = 3_600;
const CLIENT: (&str, &str) = ("client_id", "stoker");

#[derive(Deserialize)]
struct TokenBody {
    token: Option<Secret>,
    access_token: Option<Secret>,
    expires_in: Option<u64>,
}

/// A request to a token server.
struct TokenRequest<'wish> {
    url: Url,
    service: Option<&'wish str>,
    scope: &'wish str,
    credential: &'wish Credential,
    way: DialMode,
}

impl Registry {
    pub(super) async fn token(
        &self,
        request: &Request,
        credential: &Credential,
        challenge: &Challenge,
        may_lead_inside: bool,
    ) -> Result<Token, RegistryError> {
        let Challenge::Bearer {
            realm,
            service,
            scope,
        } = challenge
        else {
            return Err(bad_token(request, "the challenge asks for no token"));
        };
        let scope = scope
            .clone()
            .unwrap_or_else(|| format!("repository:{}:pull", request.repository));
        let url = self.realm(request, realm)?;
        let is_own = url.origin() == self.inner.base.origin();
        let wish = TokenRequest {
            url,
            service: service.as_deref(),
            scope: &scope,
            credential,
            way: DialMode {
                outside_only: !is_own && !may_lead_inside,
                ..DialMode::to_registry()
            },
        };
        let (exchange, response) = self.ask_either_way(request, &wish).await?;
        if response.is_redirect() {
            return Err(RegistryError::BadRedirect {
                requested: exchange.requested,
                what: "the token server redirects, and credentials do not follow redirects".to_owned(),
            });
        }
        if response.status() != StatusCode::OK {
            let is_signed = !credential.is_anonymous();
            return Err(self.refusal(&exchange, response, is_signed).await);
        }
        let body = self
            .read_whole(&exchange.requested, response, TOKEN_BYTES)
            .await?;
        read_token(&exchange, &body)
    }

    fn realm(&self, request: &Request, realm: &str) -> Result<Url, RegistryError> {
        let settings = &self.inner.settings;
        let checked = check_realm(realm, &settings.name, settings.plain_http, &settings.token_realms);
        checked.map_err(|realm| RegistryError::UnsafeRealm {
            requested: request.requested.clone(),
            realm: Box::new(realm),
        })
    }

    /// Requests the token by GET or POST; by POST also if the server does not support GET.
    async fn ask_either_way(
        &self,
        request: &Request,
        wish: &TokenRequest<'_>,
    ) -> Result<(Request, RegistryResponse), RegistryError> {
        if let Some(form) = wish.oauth_only() {
            return self.post_for_token(request, wish, form).await;
        }
        let exchange = self.token_request(Method::GET, request, &wish.url);
        let response = self.get_token(&exchange, wish).await?;
        let speaks_only_post = matches!(response.status().as_u16(), 404 | 405);
        match wish.password_form().filter(|_| speaks_only_post) {
            Some(form) => self.post_for_token(request, wish, form).await,
            None => Ok((exchange, response)),
        }
    }

    fn token_request(&self, method: Method, request: &Request, url: &Url) -> Request {
        let host = url.host_str().unwrap_or_default();
        Request {
            method,
            kind: "token",
            // A fixed word: the path comes from the registry.
            template: "/token",
            path: String::new(),
            repository: request.repository.clone(),
            image: request.image.clone(),
            accept: String::new(),
            from: 0,
            until: None,
            requested: self.requested(format!("token for {} from {host}", request.repository)),
            header_wait: None,
            history: History::default(),
        }
    }

    async fn get_token(
        &self,
        exchange: &Request,
        wish: &TokenRequest<'_>,
    ) -> Result<RegistryResponse, RegistryError> {
        let mut url = wish.url.clone();
        url.query_pairs_mut().extend_pairs(wish.pairs());
        let mut prepared = reqwest::Request::new(Method::GET, url);
        if let Some(authorization) = wish.credential.basic() {
            let authorization = sensitive(&authorization, &exchange.requested)?;
            prepared
                .headers_mut()
                .insert(header::AUTHORIZATION, authorization);
        }
        self.send_to_realm(exchange, wish, prepared).await
    }

    /// Requests a token as OAuth 2 does it.
    async fn post_for_token(
        &self,
        request: &Request,
        wish: &TokenRequest<'_>,
        mut form: Vec<(&str, &str)>,
    ) -> Result<(Request, RegistryResponse), RegistryError> {
        let exchange = self.token_request(Method::POST, request, &wish.url);
        form.extend(wish.pairs());
        form.push(CLIENT);
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let mut prepared = reqwest::Request::new(Method::POST, wish.url.clone());
        let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        prepared.headers_mut().insert(header::CONTENT_TYPE, form_type);
        *prepared.body_mut() = Some(body.into());
        let response = self.send_to_realm(&exchange, wish, prepared).await?;
        Ok((exchange, response))
    }

    /// Sends, and retries after a pause if the token server rate-limits us.
    async fn send_to_realm(
        &self,
        exchange: &Request,
        wish: &TokenRequest<'_>,
        prepared: reqwest::Request,
    ) -> Result<RegistryResponse, RegistryError> {
        let mut next = Some(prepared);
        loop {
            let Some(now) = next.take() else {
                return Err(bad_token(exchange, "the request cannot be repeated"));
            };
            next = now.try_clone();
            let sent = self.send_once(exchange, exchange.template, &wish.url, (wish.way, now));
            let answer = sent.await?;
            let Some(pause) = self.pause_after(exchange, &answer) else {
                return Ok(answer);
            };
            drop(answer);
            tokio::time::sleep(pause).await;
        }
    }
}

impl TokenRequest<'_> {
    fn pairs(&self) -> Vec<(&str, &str)> {
        let service = self.service.map(|service| ("service", service));
        let scopes = self.scope.split_whitespace().map(|scope| ("scope", scope));
        service.into_iter().chain(scopes).collect()
    }

    fn oauth_only(&self) -> Option<Vec<(&str, &str)>> {
        match self.credential {
            Credential::IdentityToken(token) => Some(vec![
                ("grant_type", "refresh_token"),
                ("refresh_token", token.expose()),
            ]),
            _ => None,
        }
    }

    fn password_form(&self) -> Option<Vec<(&str, &str)>> {
        match self.credential {
            Credential::Basic { username, password } => Some(vec![
                ("grant_type", "password"),
                ("username", username),
                ("password", password.expose()),
            ]),
            _ => None,
        }
    }
}

fn read_token(exchange: &Request, body: &[u8]) -> Result<Token, RegistryError> {
    // serde's error text could repeat parts of a token.
    let answer: TokenBody =
        serde_json::from_slice(body).map_err(|_| bad_token(exchange, "it is not JSON with a token"))?;
    let given = [answer.token, answer.access_token].into_iter().flatten();
    let token = given.into_iter().find(|token| !token.expose().is_empty());
    let token = token.ok_or_else(|| bad_token(exchange, "it has no token"))?;
    let authorization = Secret::new(format!("Bearer {}", token.expose()));
    sensitive(&authorization, &exchange.requested)
        .map_err(|_| bad_token(exchange, "its token has characters that are invalid in a header"))?;
    let lifetime = answer
        .expires_in
        .unwrap_or(DEFAULT_LIFETIME)
        .min(LONGEST_LIFETIME);
    Ok(Token::new(authorization, Duration::from_secs(lifetime)))
}

fn bad_token(exchange: &Request, what: &str) -> RegistryError {
    RegistryError::BadAnswer {
        requested: exchange.requested.clone(),
        what: what.to_owned(),
    }
}
