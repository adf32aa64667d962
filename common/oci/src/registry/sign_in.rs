//! Signs in: first without a credential, then once as the registry's challenge asks.
//!
//! **Invariant:** one request of a caller leads to at most one token exchange and two attempts with the same credential
//! (one more of each with a kept credential that was looked up again, and after a `Retry-After`). A kept credential and
//! a kept token of ours are renewed once if the registry refuses them with 400, 401 or 403: registries differ in what
//! they answer to an expired one. If the registry refuses a ready-made `Authorization`, it is dropped, and the caller
//! then counts as anonymous.

use std::time::Duration;

use http::{StatusCode, header};

use super::client::Registry;
use super::exchange::error_response;
use super::request::Request;
use super::response::RegistryResponse;
use super::tokens::{Renewal, Token, TokenKey};
use crate::challenge::{self, Challenge};
use crate::metrics::SignedIn;
use crate::{Credential, ErrorResponse, KeptCredential, RegistryError, Secret};

/// User name and password do not expire; this bounds how long a copy is kept.
const BASIC_LIFETIME: Duration = Duration::from_secs(3_600);

/// A parsed 401.
struct Unauthorized {
    challenges: Vec<Challenge>,
    response: ErrorResponse,
    is_from_inside: bool,
}

impl Registry {
    /// Sends with the credential. A 401 is always returned as an error.
    pub(super) async fn send_signed(
        &self,
        request: &Request,
        credential: &Credential,
    ) -> Result<RegistryResponse, RegistryError> {
        request.history.turn.is_of(credential);
        let Credential::Kept(kept) = credential else {
            return Box::pin(self.send_as(request, credential)).await;
        };
        let found = match look_up(request, kept, None).await {
            Ok(found) => found,
            Err(fault) => return Box::pin(self.send_without(request, fault)).await,
        };
        let first = Box::pin(self.send_as(request, &found)).await;
        if !is_refused(&first) {
            return first;
        }
        // Credentials of helpers expire after hours.
        let newer = look_up(request, kept, Some(&found)).await?;
        if newer == found {
            return first;
        }
        // It may hold the only connection.
        drop(first);
        let second = Box::pin(self.send_as(request, &newer)).await;
        if is_refused(&second) {
            kept.is_refused(&newer).await;
        }
        second
    }

    /// Sends without a credential after a failed lookup, which counts only if the object is not public.
    async fn send_without(
        &self,
        request: &Request,
        fault: RegistryError,
    ) -> Result<RegistryResponse, RegistryError> {
        let result = self.send_as(request, &Credential::Anonymous).await;
        // Registries hide what an anonymous caller may not read.
        let is_hidden = result
            .as_ref()
            .is_ok_and(|response| response.status() == StatusCode::NOT_FOUND);
        if is_hidden || is_refused(&result) {
            return Err(fault);
        }
        result
    }

    async fn send_as(
        &self,
        request: &Request,
        credential: &Credential,
    ) -> Result<RegistryResponse, RegistryError> {
        let Some(exchangeable) = credential.for_exchange() else {
            return self.send_ready_made(request, credential).await;
        };
        let key = TokenKey::new(&request.repository, &exchangeable);
        let ready_made = if let Credential::Header(value) = credential {
            Some(value.clone())
        } else {
            None
        };
        let kept = self.inner.tokens.current(&key);
        let mut sent = kept.clone().or(ready_made);
        let response = self.send_patiently(request, sent.as_ref()).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            let refused = kept.filter(|_| may_mean_expired(&response));
            return match refused.zip(self.inner.tokens.renewal(&key)) {
                Some((refused, renewal)) => {
                    drop(response);
                    self.send_with_new_token(request, &exchangeable, &key, &refused, renewal)
                        .await
                }
                None => Ok(response),
            };
        }
        let mut refused = Unauthorized::read(response).await;
        if let Some(dead) = sent
            .as_ref()
            .filter(|sent| is_bearer(sent) && !refused.offers_bearer())
        {
            // Harbor answers an expired token with a Basic challenge. It names the token server only to a request
            // without a token.
            self.inner.tokens.forget(&key, dead);
            let response = self.send_patiently(request, None).await?;
            if response.status() != StatusCode::UNAUTHORIZED {
                return Ok(response);
            }
            (refused, sent) = (Unauthorized::read(response).await, None);
        }
        let result = self
            .sign_in(request, &exchangeable, &key, sent.as_ref(), refused)
            .await;
        self.count_sign_in(&exchangeable, &result);
        result
    }

    /// Answers the challenge and sends once more.
    async fn sign_in(
        &self,
        request: &Request,
        credential: &Credential,
        key: &TokenKey,
        sent: Option<&Secret>,
        refused: Unauthorized,
    ) -> Result<RegistryResponse, RegistryError> {
        let Some(authorization) = self.answer_to(request, credential, key, sent, &refused).await? else {
            return Err(refusal_of(request, credential, refused.response));
        };
        self.send_with(request, credential, key, &authorization).await
    }

    /// Exchanges the credential for another token than the refused one, and sends once more.
    async fn send_with_new_token(
        &self,
        request: &Request,
        credential: &Credential,
        key: &TokenKey,
        refused: &Secret,
        renewal: Renewal,
    ) -> Result<RegistryResponse, RegistryError> {
        let tokens = &self.inner.tokens;
        let fetch = self.token(request, credential, renewal);
        let renewed = tokens.renew(key, Some(refused), self.inner.limits.header_wait, fetch);
        let result = match renewed.await {
            Ok(authorization) => self.send_with(request, credential, key, &authorization).await,
            Err(error) => {
                tokens.forget(key, refused);
                Err(error)
            }
        };
        self.count_sign_in(credential, &result);
        result
    }

    /// Sends with a new `Authorization`.
    async fn send_with(
        &self,
        request: &Request,
        credential: &Credential,
        key: &TokenKey,
        authorization: &Secret,
    ) -> Result<RegistryResponse, RegistryError> {
        request.history.has_signed_in();
        let response = self.send_patiently(request, Some(authorization)).await?;
        if response.status() == StatusCode::UNAUTHORIZED {
            self.inner.tokens.forget(key, authorization);
            return Err(refusal_of(request, credential, error_response(response).await));
        }
        if may_mean_expired(&response) {
            self.inner.tokens.refused(key);
        }
        Ok(response)
    }

    /// Counts the sign-in. An anonymous caller did not sign in, so its refusal is not counted.
    fn count_sign_in(&self, credential: &Credential, result: &Result<RegistryResponse, RegistryError>) {
        let how = result.as_ref().map_or_else(SignedIn::after, |_| SignedIn::Ok);
        let is_nobodys = matches!(
            result,
            Err(RegistryError::NoCredential { .. } | RegistryError::Forbidden { .. })
        ) && credential.is_anonymous();
        if !is_nobodys {
            self.inner.metrics.signed_in(self.host(), how);
        }
    }

    /// Sends a ready-made token, which we cannot renew, with the first request.
    async fn send_ready_made(
        &self,
        request: &Request,
        credential: &Credential,
    ) -> Result<RegistryResponse, RegistryError> {
        let authorization = credential.authorization();
        let response = self.send_patiently(request, authorization.as_ref()).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        let first = Unauthorized::read(response).await;
        self.inner.metrics.signed_in(self.host(), SignedIn::Refused);
        let ended = || RegistryError::CredentialEnded {
            requested: request.requested.clone(),
            response: first.response.clone(),
        };
        // Harbor answers an expired token with a useless Basic challenge; without the token, a public project opens.
        match Box::pin(self.send_as(request, &Credential::Anonymous)).await {
            Ok(response) if matches!(response.status().as_u16(), 403 | 404) => Err(ended()),
            Err(
                RegistryError::NoCredential { .. }
                | RegistryError::WrongCredential { .. }
                | RegistryError::Forbidden { .. },
            ) => Err(ended()),
            other => other,
        }
    }

    /// Returns the `Authorization` that answers the challenge, if the credential allows it.
    async fn answer_to(
        &self,
        request: &Request,
        credential: &Credential,
        key: &TokenKey,
        sent: Option<&Secret>,
        refused: &Unauthorized,
    ) -> Result<Option<Secret>, RegistryError> {
        let wait = self.header_wait();
        let bearer = refused
            .challenges
            .iter()
            .find(|one| matches!(one, Challenge::Bearer { .. }));
        if let Some(bearer) = bearer {
            let renewal = Renewal {
                challenge: bearer.clone(),
                may_lead_inside: self.may_lead_inside(refused.is_from_inside),
            };
            let fetch = self.token(request, credential, renewal);
            return self.inner.tokens.renew(key, sent, wait, fetch).await.map(Some);
        }
        let wants_basic = refused
            .challenges
            .iter()
            .any(|one| matches!(one, Challenge::Basic { .. }));
        let basic = credential
            .basic()
            .filter(|basic| wants_basic && Some(basic) != sent);
        let Some(basic) = basic else { return Ok(None) };
        let token = Token::new(basic, BASIC_LIFETIME);
        self.inner
            .tokens
            .renew(key, sent, wait, async { Ok(token) })
            .await
            .map(Some)
    }
}

async fn look_up(
    request: &Request,
    kept: &KeptCredential,
    refused: Option<&Credential>,
) -> Result<Credential, RegistryError> {
    let found = kept.other_than(refused, Some(&request.repository)).await;
    found.map_err(|cause| RegistryError::NoLookup {
        requested: request.requested.clone(),
        cause,
    })
}

/// Whether the registry itself answered with a status that some registries give to an expired credential.
fn may_mean_expired(response: &RegistryResponse) -> bool {
    matches!(response.status().as_u16(), 400 | 403) && response.elsewhere().is_none()
}

/// Whether the registry or its token server refused the credential.
fn is_refused(result: &Result<RegistryResponse, RegistryError>) -> bool {
    match result {
        Ok(response) => may_mean_expired(response),
        Err(RegistryError::Unexpected { response, .. }) => response.status == 400,
        Err(error) => matches!(
            error,
            RegistryError::NoCredential { .. }
                | RegistryError::WrongCredential { .. }
                | RegistryError::CredentialEnded { .. }
                | RegistryError::Forbidden { .. }
        ),
    }
}

fn is_bearer(authorization: &Secret) -> bool {
    let scheme = authorization.expose().get(..7);
    scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("bearer "))
}

impl Unauthorized {
    fn offers_bearer(&self) -> bool {
        self.challenges
            .iter()
            .any(|one| matches!(one, Challenge::Bearer { .. }))
    }

    async fn read(response: RegistryResponse) -> Self {
        let headers = response.headers().get_all(header::WWW_AUTHENTICATE);
        let texts = headers.iter().filter_map(|value| value.to_str().ok());
        let challenges = texts.flat_map(challenge::parse).collect();
        Self {
            challenges,
            is_from_inside: response.is_from_inside(),
            response: error_response(response).await,
        }
    }
}

fn refusal_of(request: &Request, credential: &Credential, response: ErrorResponse) -> RegistryError {
    let requested = request.requested.clone();
    if credential.is_anonymous() {
        return RegistryError::NoCredential { requested, response };
    }
    RegistryError::WrongCredential { requested, response }
}
