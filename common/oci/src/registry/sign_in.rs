//! Signing in: nothing unasked, then what the registry's challenge wants, once.
//!
//! **Invariant:** one request of a caller leads to at most one token exchange and two tries with the same credential.
//! A ready-made `Authorization` that the registry refuses is dropped, and the caller counts as anonymous from then on.

use std::time::Duration;

use http::{Method, StatusCode, header};
use serde::Deserialize;
use url::Url;

use super::Registry;
use super::answer::Answer;
use super::exchange::{History, Request, said, sensitive};
use super::tokens::{Key, Token};
use crate::challenge::{self, Challenge, check_realm};
use crate::metrics::SignedIn;
use crate::{Credential, RegistryError, Said, Secret};

const TOKEN_BYTES: usize = 256 * 1024;
/// The distribution specification's default for a token that does not say.
const DEFAULT_LIFETIME: u64 = 60;
const LONGEST_LIFETIME: u64 = 3_600;
/// A user name and password do not end by themselves; this only bounds how long a copy is kept.
const BASIC_LIFETIME: Duration = Duration::from_secs(3_600);

/// A 401, read.
struct Refused {
    challenges: Vec<Challenge>,
    said: Said,
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<Secret>,
    access_token: Option<Secret>,
    expires_in: Option<u64>,
}

impl Registry {
    /// Sends with what the credential is good for. A 401 never comes back as an answer.
    pub(super) async fn send_signed(
        &self,
        request: &Request,
        credential: &Credential,
    ) -> Result<Answer, RegistryError> {
        let Some(exchangeable) = credential.for_exchange() else {
            return self.send_ready_made(request, credential).await;
        };
        let key = Key::new(&request.repository, &exchangeable);
        let ready_made = if let Credential::Header(value) = credential {
            Some(value.clone())
        } else {
            None
        };
        let sent = self.inner.tokens.current(&key).or(ready_made);
        let response = self.send(request, sent.as_ref()).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        let refused = Refused::read(response).await;
        let result = self
            .sign_in(request, &exchangeable, &key, sent.as_ref(), refused)
            .await;
        self.count_sign_in(&exchangeable, &result);
        result
    }

    /// Answers the challenge, and sends once more with what that brought.
    async fn sign_in(
        &self,
        request: &Request,
        credential: &Credential,
        key: &Key,
        sent: Option<&Secret>,
        refused: Refused,
    ) -> Result<Answer, RegistryError> {
        let Some(authorization) = self.answer_to(request, credential, key, sent, &refused).await? else {
            return Err(refusal_of(request, credential, refused.said));
        };
        request.history.has_signed_in();
        let response = self.send(request, Some(&authorization)).await?;
        if response.status() == StatusCode::UNAUTHORIZED {
            self.inner.tokens.forget(key, &authorization);
            return Err(refusal_of(request, credential, said(response).await));
        }
        Ok(response)
    }

    /// Who has no credential was not refused: it did not sign in.
    fn count_sign_in(&self, credential: &Credential, result: &Result<Answer, RegistryError>) {
        let how = result.as_ref().map_or_else(SignedIn::after, |_| SignedIn::Ok);
        let is_nobodys = matches!(
            result,
            Err(RegistryError::NoCredential { .. } | RegistryError::Forbidden { .. })
        ) && credential.is_anonymous();
        if !is_nobodys {
            self.inner.metrics.signed_in(self.host(), how);
        }
    }

    /// A token that somebody made for us and that we cannot renew: used as it is, on the first request.
    async fn send_ready_made(
        &self,
        request: &Request,
        credential: &Credential,
    ) -> Result<Answer, RegistryError> {
        let response = self.send(request, credential.authorization().as_ref()).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        let first = Refused::read(response).await;
        self.inner.metrics.signed_in(self.host(), SignedIn::Refused);
        let ended = || RegistryError::CredentialEnded {
            asked: request.asked.clone(),
            said: first.said.clone(),
        };
        // Harbor answers a dead token with a Basic challenge that leads nowhere; without it, a public project opens.
        match Box::pin(self.send_signed(request, &Credential::Anonymous)).await {
            Ok(response) if matches!(response.status().as_u16(), 403 | 404) => Err(ended()),
            Err(
                RegistryError::NoCredential { .. }
                | RegistryError::WrongCredential { .. }
                | RegistryError::Forbidden { .. },
            ) => Err(ended()),
            other => other,
        }
    }

    /// The `Authorization` that the challenge wants, if we have what it takes.
    async fn answer_to(
        &self,
        request: &Request,
        credential: &Credential,
        key: &Key,
        sent: Option<&Secret>,
        refused: &Refused,
    ) -> Result<Option<Secret>, RegistryError> {
        let wait = self.inner.limits.header_wait;
        let bearer = refused
            .challenges
            .iter()
            .find(|one| matches!(one, Challenge::Bearer { .. }));
        if let Some(bearer) = bearer {
            let fetch = self.token(request, credential, bearer);
            return self.inner.tokens.renew(key, sent, wait, fetch).await.map(Some);
        }
        let wants_basic = refused
            .challenges
            .iter()
            .any(|one| matches!(one, Challenge::Basic { .. }));
        let basic = credential
            .authorization()
            .filter(|basic| wants_basic && Some(basic) != sent);
        let Some(basic) = basic else { return Ok(None) };
        let token = Token::new(basic, BASIC_LIFETIME);
        self.inner
            .tokens
            .renew(key, sent, wait, async { Ok(token) })
            .await
            .map(Some)
    }

    async fn token(
        &self,
        request: &Request,
        credential: &Credential,
        challenge: &Challenge,
    ) -> Result<Token, RegistryError> {
        let Challenge::Bearer {
            realm,
            service,
            scope,
        } = challenge
        else {
            return Err(bad_token(request, "no token is asked for"));
        };
        let settings = &self.inner.settings;
        let url = check_realm(realm, &settings.name, settings.plain_http, &settings.token_realms).map_err(
            |realm| RegistryError::UnsafeRealm {
                asked: request.asked.clone(),
                realm: Box::new(realm),
            },
        )?;
        let scope = scope
            .clone()
            .unwrap_or_else(|| format!("repository:{}:pull", request.repository));
        let wish = Wish {
            url,
            service: service.as_deref(),
            scope: &scope,
            credential,
        };
        let mut exchange = self.token_request(Method::GET, request, &wish.url);
        let mut response = self.ask_for_token(&exchange, &wish).await?;
        let speaks_only_post = matches!(response.status().as_u16(), 404 | 405);
        if speaks_only_post && !credential.is_anonymous() {
            exchange = self.token_request(Method::POST, request, &wish.url);
            response = self.post_for_token(&exchange, &wish).await?;
        }
        if response.status() != StatusCode::OK {
            return Err(self
                .refusal(&exchange, response, !credential.is_anonymous())
                .await);
        }
        let body = self.read_whole(&exchange.asked, response, TOKEN_BYTES).await?;
        Self::read_token(&exchange, &body)
    }

    fn token_request(&self, method: Method, request: &Request, url: &Url) -> Request {
        let host = url.host_str().unwrap_or_default();
        Request {
            method,
            kind: "token",
            // Whatever its path is: that is the registry's word.
            template: "/token",
            path: String::new(),
            repository: request.repository.clone(),
            image: request.image.clone(),
            accept: String::new(),
            from: 0,
            asked: self.asked(format!("token for {} from {host}", request.repository)),
            history: History::default(),
        }
    }

    async fn ask_for_token(&self, exchange: &Request, wish: &Wish<'_>) -> Result<Answer, RegistryError> {
        let mut url = wish.url.clone();
        url.query_pairs_mut().extend_pairs(wish.pairs());
        let mut prepared = self.inner.client.get(url.clone());
        if let Some(authorization) = wish.credential.authorization() {
            prepared = prepared.header(header::AUTHORIZATION, sensitive(&authorization, &exchange.asked)?);
        }
        self.send_once(exchange, exchange.template, &url, prepared).await
    }

    /// The way of OAuth, for token servers that know no other.
    async fn post_for_token(&self, exchange: &Request, wish: &Wish<'_>) -> Result<Answer, RegistryError> {
        let Credential::Basic { username, password } = wish.credential else {
            return Err(bad_token(
                exchange,
                "the token server wants a user name and a password",
            ));
        };
        let mut form = wish.pairs();
        form.extend([
            ("grant_type", "password"),
            ("username", username),
            ("password", password.expose()),
        ]);
        form.push(("client_id", "stoker"));
        let prepared = self.inner.client.post(wish.url.clone()).form(&form);
        self.send_once(exchange, exchange.template, &wish.url, prepared)
            .await
    }

    fn read_token(exchange: &Request, body: &[u8]) -> Result<Token, RegistryError> {
        // What serde says about a body could repeat parts of a token.
        let answer: TokenAnswer = serde_json::from_slice(body)
            .map_err(|_| bad_token(exchange, "it is no JSON with a token in it"))?;
        let given = [answer.token, answer.access_token].into_iter().flatten();
        let token = given.into_iter().find(|token| !token.expose().is_empty());
        let token = token.ok_or_else(|| bad_token(exchange, "there is no token in it"))?;
        let authorization = Secret::new(format!("Bearer {}", token.expose()));
        sensitive(&authorization, &exchange.asked)
            .map_err(|_| bad_token(exchange, "its token has letters that no header may have"))?;
        let lifetime = answer
            .expires_in
            .unwrap_or(DEFAULT_LIFETIME)
            .min(LONGEST_LIFETIME);
        Ok(Token::new(authorization, Duration::from_secs(lifetime)))
    }
}

fn bad_token(exchange: &Request, what: &str) -> RegistryError {
    RegistryError::BadAnswer {
        asked: exchange.asked.clone(),
        what: what.to_owned(),
    }
}

/// What a token server is asked.
struct Wish<'wish> {
    url: Url,
    service: Option<&'wish str>,
    scope: &'wish str,
    credential: &'wish Credential,
}

impl Wish<'_> {
    fn pairs(&self) -> Vec<(&str, &str)> {
        let service = self.service.map(|service| ("service", service));
        let scopes = self.scope.split_whitespace().map(|scope| ("scope", scope));
        service.into_iter().chain(scopes).collect()
    }
}

impl Refused {
    async fn read(response: Answer) -> Self {
        let headers = response.headers().get_all(header::WWW_AUTHENTICATE);
        let texts = headers.iter().filter_map(|value| value.to_str().ok());
        let challenges = texts.flat_map(challenge::parse).collect();
        Self {
            challenges,
            said: said(response).await,
        }
    }
}

fn refusal_of(request: &Request, credential: &Credential, said: Said) -> RegistryError {
    let asked = request.asked.clone();
    if credential.is_anonymous() {
        return RegistryError::NoCredential { asked, said };
    }
    RegistryError::WrongCredential { asked, said }
}
