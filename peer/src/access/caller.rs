//! Who asks, where: one request's caller in one repository of one registry.
//!
//! **Invariant:** the registry is shown exactly what the caller sent, and never a token of our own.

use std::time::Duration;

use http::header::HOST;
use http::uri::Authority;
use http::{HeaderMap, Method};
use oci::{Location, Question, QuestionKind, Secret};

use super::allowed::AllowedLocation;
use super::caller_key::{CallerKey, ShownCredential, shown};
use super::grants::CallerLocation;
use super::state::Access;

const FRONT_UNLESS_TOLD: &str = "127.0.0.1:65001";

/// One request's caller, in one repository of one registry.
#[derive(Clone)]
pub(crate) struct Caller {
    allowed: AllowedLocation,
    /// Whose yeses count.
    pub(super) key: CallerKey,
    /// Who gets the registry's yes: whoever the registry was shown.
    pub(super) shown_to_registry: CallerKey,
    /// What the registry is shown: exactly what the caller sent, unless that was a token of our own.
    pub(crate) authorization: Option<Secret>,
    pub(super) showed_a_credential: bool,
    /// A token that this peer made while the token server was unreachable.
    pub(super) showed_local_token: bool,
    /// Host and port that the caller reached us at.
    pub(crate) us: String,
}

impl Caller {
    /// Where the object is wanted from.
    pub(crate) fn location(&self) -> &Location {
        self.allowed.location()
    }

    pub(super) fn place(&self) -> CallerLocation {
        CallerLocation::new(self.key, self.location())
    }

    /// The registry was shown nothing although the caller showed a token: one of ours. Its no is not meant for the
    /// caller's account then.
    pub(super) fn was_hidden(&self) -> bool {
        self.key != self.shown_to_registry
    }

    /// A question that goes out with exactly what this caller sent.
    pub(crate) fn question(
        &self,
        method: Method,
        kind: QuestionKind,
        accept: Vec<String>,
        limit: Duration,
    ) -> Question {
        Question {
            method,
            repository: self.location().repository.clone(),
            kind,
            authorization: self.authorization.clone(),
            accept,
            limit,
        }
    }
}

/// Host and port that the caller reached us at.
fn own_address(headers: &HeaderMap) -> String {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    host.and_then(|host| host.parse::<Authority>().ok())
        .filter(|host| !host.as_str().contains('@'))
        .map_or_else(|| FRONT_UNLESS_TOLD.to_owned(), |host| host.to_string())
}

impl Access {
    /// The account of a token that this location's registry lets be issued.
    fn owner(&self, token: CallerKey, location: &Location) -> Option<CallerKey> {
        let issuer = self
            .challenges
            .issuer(&location.origin, self.neighbours.registries())?;
        self.accounts.owner(self.keyring.issued(token, &issuer))
    }

    /// Reads the caller from the request's headers.
    pub(crate) fn caller(&self, allowed: AllowedLocation, headers: &HeaderMap) -> Caller {
        let anonymous = self.keyring.anonymous();
        let (shown, authorization) = shown(headers, &self.keyring);
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
                // Ours, but from before a restart: the caller has to get another one.
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
            us: own_address(headers),
        }
    }
}
