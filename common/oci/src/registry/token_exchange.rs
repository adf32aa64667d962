//! Exchanges a credential for a token at the realm of a Bearer challenge.
//!
//! **Invariant:** a credential goes only to a realm that [`check_realm`] allows. The only redirect that is followed leads
//! from HTTP to HTTPS on the same host and path. A realm may have a private address only if its registry is configured
//! or private itself. User name and password are sent by GET, as docker does, so that a wrong password counts as one
//! failed attempt; if the server does not support GET, by POST. An identity token is sent by POST only.

use std::time::Duration;

use http::{HeaderValue, Method, StatusCode, header};
use url::{Url, form_urlencoded};

use super::client::{Registry, moved_to_https};
use super::exchange::error_response;
use super::request::{History, Request, sensitive};
use super::response::RegistryResponse;
use super::tokens::{Renewal, Token};
use crate::challenge::{BadRealm, Challenge, check_realm};
use crate::clients::DialMode;
use crate::{BadTokenAnswer, ConnectFault, Credential, RegistryError, Secret, TokenAnswer};

const TOKEN_BYTES: usize = 256 * 1024;
/// The distribution specification's default lifetime. Docker uses no token for a shorter time either; a registry that
/// refuses it earlier gets a new one.
const SHORTEST_LIFETIME: Duration = Duration::from_secs(60);
const LONGEST_LIFETIME: Duration = Duration::from_secs(3_600);
const CLIENT: (&str, &str) = ("client_id", "stoker");

/// A request to a token server.
struct TokenRequest<'wish> {
    url: Url,
    service: Option<&'wish str>,
    scope: &'wish str,
    credential: &'wish Credential,
    way: DialMode,
}

impl Registry {
    /// Exchanges the credential at the realm of the challenge.
    pub(super) async fn token(
        &self,
        request: &Request,
        credential: &Credential,
        renewal: Renewal,
    ) -> Result<Token, RegistryError> {
        let Challenge::Bearer {
            realm,
            service,
            scope,
        } = &renewal.challenge
        else {
            return Err(unusable(request, "the challenge asks for no token"));
        };
        let scope = scope
            .clone()
            .unwrap_or_else(|| format!("repository:{}:pull", request.repository));
        let url = self.realm(request, realm)?;
        let is_own = self.is_own(&url);
        let wish = TokenRequest {
            url,
            service: service.as_deref(),
            scope: &scope,
            credential,
            way: DialMode {
                outside_only: !is_own && !renewal.may_lead_inside,
                ..DialMode::to_registry()
            },
        };
        let issued = self.exchange(request, &wish).await;
        let token = issued.map_err(|error| over_https_only(request, realm, &wish.url, error))?;
        Ok(token.renewed_by(renewal))
    }

    async fn exchange(&self, request: &Request, wish: &TokenRequest<'_>) -> Result<Token, RegistryError> {
        let (exchange, response) = self.ask_either_way(request, wish).await?;
        if let Some(url) = moved_to_https(&wish.url, response.status(), response.headers()) {
            drop(response);
            let (exchange, response) = self.ask_either_way(request, &wish.at(url)).await?;
            return self.issued(&exchange, response, wish.credential).await;
        }
        self.issued(&exchange, response, wish.credential).await
    }

    async fn issued(
        &self,
        exchange: &Request,
        response: RegistryResponse,
        credential: &Credential,
    ) -> Result<Token, RegistryError> {
        let requested = exchange.requested.clone();
        if response.is_redirect() {
            return Err(RegistryError::BadRedirect {
                requested,
                what: "the token server redirects, and credentials do not follow redirects".to_owned(),
            });
        }
        let is_signed = !credential.is_anonymous();
        // OAuth 2 servers answer 400 `invalid_grant` to a wrong password or an expired identity token.
        if response.status() == StatusCode::BAD_REQUEST && is_signed {
            let response = error_response(response).await;
            return Err(RegistryError::WrongCredential { requested, response });
        }
        if !response.status().is_success() {
            return Err(self.refusal(exchange, response, is_signed).await);
        }
        let body = self.read_whole(&requested, response, TOKEN_BYTES).await?;
        read_token(exchange, &body)
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
        // OAuth 2 allows each parameter once: several scopes are one parameter, joined by spaces.
        let scope = wish.scopes().collect::<Vec<_>>().join(" ");
        form.extend(wish.service_pair());
        form.extend([("scope", scope.as_str()), CLIENT]);
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
                return Err(unusable(exchange, "the request cannot be repeated"));
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

impl<'wish> TokenRequest<'wish> {
    /// The same request to another URL.
    fn at(&self, url: Url) -> TokenRequest<'wish> {
        TokenRequest { url, ..*self }
    }

    fn service_pair(&self) -> Option<(&str, &str)> {
        self.service.map(|service| ("service", service))
    }

    fn scopes(&self) -> impl Iterator<Item = &str> {
        self.scope.split_whitespace()
    }

    /// Returns the query of a GET, where docker writes a parameter for each scope.
    fn pairs(&self) -> Vec<(&str, &str)> {
        let scopes = self.scopes().map(|scope| ("scope", scope));
        self.service_pair().into_iter().chain(scopes).collect()
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

/// Returns the error that a realm is on plain HTTP, if an exchange over HTTPS instead found no token server.
fn over_https_only(request: &Request, realm: &str, asked: &Url, error: RegistryError) -> RegistryError {
    let found_none = matches!(
        error,
        RegistryError::Unreachable {
            cause: ConnectFault::NoTls | ConnectFault::Other(_),
            ..
        } | RegistryError::NotFound { .. }
            | RegistryError::BadToken { .. }
    );
    let was_plain = Url::parse(realm).is_ok_and(|realm| realm.scheme() == "http");
    if !found_none || !was_plain || asked.scheme() == "http" {
        return error;
    }
    let host = asked.host_str().unwrap_or_default().to_owned();
    RegistryError::UnsafeRealm {
        requested: request.requested.clone(),
        realm: Box::new(BadRealm::PlainHttp { host }),
    }
}

fn read_token(exchange: &Request, body: &[u8]) -> Result<Token, RegistryError> {
    let answer = TokenAnswer::parse(body).map_err(|cause| bad_token(exchange, cause))?;
    let token = answer.tokens.first();
    let token = token.ok_or_else(|| bad_token(exchange, BadTokenAnswer::NoToken))?;
    let authorization = Secret::new(format!("Bearer {}", token.expose()));
    let lifetime = answer.lifetime.unwrap_or(SHORTEST_LIFETIME);
    Ok(Token::new(
        authorization,
        lifetime.clamp(SHORTEST_LIFETIME, LONGEST_LIFETIME),
    ))
}

fn bad_token(exchange: &Request, cause: BadTokenAnswer) -> RegistryError {
    RegistryError::BadToken {
        requested: exchange.requested.clone(),
        cause,
    }
}

fn unusable(request: &Request, what: &str) -> RegistryError {
    RegistryError::BadAnswer {
        requested: request.requested.clone(),
        what: what.to_owned(),
    }
}
