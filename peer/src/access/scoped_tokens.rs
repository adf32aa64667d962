//! Answers token requests that came from our own challenge at `/v2/`. Such a request names no token server: the
//! registry is in its scope, and is asked how it wants callers to sign in.
//!
//! | the registry wants | the caller gets |
//! |---|---|
//! | `Bearer` | the token of its token server, for the credential of this request or for none |
//! | `Basic` | a token of ours that carries the credential ([`super::sealed_credentials`]) |
//! | nothing | the anonymous token |
//!
//! **Invariant:** a credential goes to one allowed registry, the one in the scope, in the way in which that registry asks
//! for it. Without a registry it goes nowhere.

use std::time::Duration;

use axum::response::Response;
use http::{HeaderMap, Method, StatusCode};
use oci::{ForwardedObject, FromInside, Origin, RequestedList};

use super::allowed::AllowedLocation;
use super::caller::Caller;
use super::caller_key::ANONYMOUS_TOKEN;
use super::challenge_relay::{ReceivedChallenge, RegistrySignIn};
use super::failure::Failure;
use super::questions::{QuestionOutcome, patience};
use super::refusal::Refusal;
use super::state::Access;
use super::token_relay::own_token;
use super::token_request::TokenRequest;
use super::token_scopes::NamedScopes;

/// For one question about the sign-in.
const LIMIT: Duration = Duration::from_secs(20);
const ANONYMOUS_LIFETIME: Duration = Duration::from_secs(300);
/// A sealed credential lives a little longer.
const SEALED_LIFETIME: Duration = Duration::from_secs(3_000);

impl Access {
    pub(super) async fn token_by_scope(&self, mut request: TokenRequest) -> Result<Response, Refusal> {
        let Some((location, scopes)) = self.named_location(&mut request) else {
            return Ok(anonymous());
        };
        if location.hides_passwords() {
            request.drop_credential();
        }
        let origin = location.location().origin.clone();
        match self.registry_sign_in(location).await {
            Ok(Some(RegistrySignIn::Bearer(known))) => {
                request.address_to(&known.issuer, scopes);
                self.exchange(&known, &request).await
            }
            Ok(Some(RegistrySignIn::Basic)) => Ok(self.sealed(&request, &origin).unwrap_or_else(anonymous)),
            Err(failure) if request.shows_a_credential() => Err(Refusal::Failed(failure)),
            Ok(None) | Err(_) => Ok(anonymous()),
        }
    }

    /// Returns the location that the request's scopes name, if it may be dialled, with the scopes for its registry.
    fn named_location(&self, request: &mut TokenRequest) -> Option<(AllowedLocation, Vec<String>)> {
        let (texts, allowed) = (request.scopes(), self.allowed());
        let texts = texts.iter().map(String::as_str);
        let (chosen, scopes) = if let Some(registry) = request.take("registry") {
            let origin: Origin = registry.parse().ok()?;
            let named = NamedScopes::of_registry(texts)?;
            (allowed.allow(&origin.at(named.repository)), named.scopes)
        } else if let Some(registry) = request.take("ns") {
            let named = NamedScopes::of_registry(texts)?;
            let registry = registry.parse().ok()?;
            let chosen = allowed.choose(Some(registry), named.repository, None, &HeaderMap::new());
            (chosen, named.scopes)
        } else {
            let named = NamedScopes::with_registry(texts)?;
            let chosen = allowed.choose(named.registry, named.repository, None, &HeaderMap::new());
            (chosen, named.scopes)
        };
        Some((chosen.ok()?, scopes))
    }

    /// Returns how the registry wants callers to sign in for this repository: as it said last, or as it answers an
    /// anonymous question.
    async fn registry_sign_in(&self, location: AllowedLocation) -> Result<Option<RegistrySignIn>, Failure> {
        let registries = self.neighbours.registries();
        let nobody = self.caller(location, &HeaderMap::new());
        let origin = &nobody.location().origin;
        let kept = self.challenges.sign_in(origin, registries);
        if matches!(kept, Some(RegistrySignIn::Bearer(_))) {
            return Ok(kept);
        }
        let tags = ForwardedObject::List {
            list: RequestedList::Tags,
            query: "n=1".to_owned(),
        };
        for kind in [ForwardedObject::Version, tags] {
            let question = nobody.question(Method::GET, kind, Vec::new(), LIMIT);
            match self.ask_raw(&nobody, question, patience(kept.is_some())).await {
                QuestionOutcome::Answered(response) if response.status() == StatusCode::UNAUTHORIZED => {
                    self.keep_challenge(&nobody, &response);
                    return Ok(self.challenges.sign_in(origin, registries));
                }
                QuestionOutcome::Answered(_) => {}
                QuestionOutcome::Failed(failure) => return kept.map(Some).ok_or(failure),
                QuestionOutcome::Unreachable => break,
            }
        }
        Ok(kept)
    }

    fn keep_challenge(&self, nobody: &Caller, response: &reqwest::Response) {
        let received = ReceivedChallenge {
            headers: response.headers(),
            is_inside: response.extensions().get::<FromInside>().is_some(),
        };
        let registries = self.neighbours.registries();
        self.challenges.pass(
            &nobody.location().origin,
            registries,
            &received,
            &nobody.front_address,
        );
    }

    fn sealed(&self, request: &TokenRequest, origin: &Origin) -> Option<Response> {
        let token = self
            .sealed_credentials
            .seal(&request.basic()?, origin, (self.now)())?;
        Some(own_token(&token, SEALED_LIFETIME))
    }
}

/// Returns the token that counts as no credential.
fn anonymous() -> Response {
    own_token(ANONYMOUS_TOKEN, ANONYMOUS_LIFETIME)
}
