//! The caller of one request, at one location.
//!
//! **Invariant:** the registry gets exactly the credential that the caller sent, and never a token of our own.

use std::time::Duration;

use http::header::{AUTHORIZATION, HOST};
use http::{HeaderMap, HeaderValue, Method};
use oci::{ForwardedObject, ForwardedRequest, Location, Secret};

use super::allowed::AllowedLocation;
use super::caller_key::{CallerKey, ShownCredential, local_token, shown};
use super::grants::CallerLocation;
use super::state::Access;

#[derive(Clone)]
pub(crate) struct Caller {
    allowed: AllowedLocation,
    /// Whose grants count.
    pub(super) key: CallerKey,
    /// Who gets the registry's grant: the caller whose credential it was sent.
    pub(super) shown_to_registry: CallerKey,
    /// What is sent to the registry: the caller's own value, unless it is a token of our own.
    pub(crate) authorization: Option<Secret>,
    pub(super) showed_a_credential: bool,
    /// The caller sent a token that this peer made while the token server was unreachable.
    pub(super) showed_local_token: bool,
    /// The base URL at which the caller reaches us.
    pub(crate) front_address: String,
}

impl Caller {
    pub(crate) fn location(&self) -> &Location {
        self.allowed.location()
    }

    pub(super) fn at_location(&self) -> CallerLocation {
        CallerLocation::new(self.key, self.location())
    }

    /// Returns whether the caller sent a token of our own, so that the registry got no credential. Its refusal then
    /// does not concern the caller's account.
    pub(super) fn credential_was_withheld(&self) -> bool {
        self.key != self.shown_to_registry
    }

    /// Returns a question that carries this caller's credential.
    pub(crate) fn question(
        &self,
        method: Method,
        kind: ForwardedObject,
        accept: Vec<String>,
        limit: Duration,
    ) -> ForwardedRequest {
        ForwardedRequest {
            method,
            repository: self.location().repository.clone(),
            kind,
            authorization: self.authorization.clone(),
            accept,
            limit,
        }
    }
}

impl Access {
    /// Returns the account of a token that this location's registry accepts.
    fn owner(&self, token: CallerKey, location: &Location) -> Option<CallerKey> {
        let issuer = self
            .challenges
            .issuer(&location.origin, self.neighbours.registries())?;
        self.accounts.owner(self.keyring.issued(token, &issuer))
    }

    /// Returns the caller in the request's headers.
    pub(crate) fn caller(&self, allowed: AllowedLocation, headers: &HeaderMap) -> Caller {
        let anonymous = self.keyring.anonymous();
        let (shown, authorization) = self.shown_at(allowed.location(), headers);
        let authorization = authorization.filter(|_| !allowed.hides_passwords());
        let showed_local_token = matches!(shown, ShownCredential::LocalToken(_));
        let (key, shown_to_registry, showed_a_credential) = match shown {
            ShownCredential::Nothing => (anonymous, anonymous, false),
            ShownCredential::Account(key) | ShownCredential::Other(key) => (key, key, true),
            ShownCredential::Token(token) => {
                let key = self.owner(token, allowed.location()).unwrap_or(token);
                (key, key, true)
            }
            ShownCredential::LocalToken(token) => match self.owner(token, allowed.location()) {
                Some(account) => (account, anonymous, true),
                // From before a restart: the caller has to get another one.
                None => (anonymous, anonymous, false),
            },
        };
        Caller {
            allowed,
            key,
            shown_to_registry,
            authorization,
            showed_a_credential,
            showed_local_token,
            front_address: self.front_address(headers),
        }
    }

    /// Returns the credential in the headers. A token that carries a credential for this registry counts as that
    /// credential.
    fn shown_at(&self, location: &Location, headers: &HeaderMap) -> (ShownCredential, Option<Secret>) {
        let opened = local_token(headers).and_then(|token| {
            self.sealed_credentials
                .open(token, &location.origin, (self.now)())
        });
        let carried = opened.and_then(|carried| HeaderValue::from_str(carried.expose()).ok());
        match carried {
            Some(carried) => shown(&HeaderMap::from_iter([(AUTHORIZATION, carried)]), &self.keyring),
            None => shown(headers, &self.keyring),
        }
    }

    /// Returns the base URL at which the sender of this request reaches us.
    pub(crate) fn front_address(&self, headers: &HeaderMap) -> String {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        self.limits.address.base_url(host)
    }
}
