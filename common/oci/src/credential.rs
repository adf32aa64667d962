//! Credentials for registries.
//!
//! **Invariant:** no `Debug` and no `Display` shows a password or a token.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::BoxFuture;
use serde::Deserialize;

use crate::lookup_error::LookupError;
use crate::{Digest, Repository};

/// Text that must not be logged.
#[derive(Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the text, for the code that sends or seals it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Secret(…)")
    }
}

/// What signs a caller in at a registry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Credential {
    #[default]
    Anonymous,
    Basic {
        username: String,
        password: Secret,
    },
    /// An `Authorization` value from a request, used unchanged. `Basic …` also works for a token exchange.
    Header(Secret),
    /// What `docker login` stores instead of a password: valid only for requests to the registry's token server.
    IdentityToken(Secret),
    /// Looked up on use.
    Kept(KeptCredential),
}

/// Where a registry's credential is kept. A clone shares the remembered lookups.
#[derive(Clone)]
pub struct KeptCredential(Arc<dyn CredentialLookup>);

/// Looks a credential up where it is kept.
pub(crate) trait CredentialLookup: Send + Sync {
    /// Names the place and the registry, without a secret. Lookups with the same name are equal.
    fn name(&self) -> String;

    fn check(&self) -> Result<(), LookupError>;

    /// Returns the credential, looked up again if the last result is the refused one.
    fn look_up<'all>(
        &'all self,
        refused: Option<&'all Credential>,
        repository: Option<&'all Repository>,
    ) -> BoxFuture<'all, Result<Credential, LookupError>>;

    /// Notes that the registry refused a credential that was just looked up again: for a while, its refusal starts no
    /// other lookup.
    fn is_refused<'all>(&'all self, credential: &'all Credential) -> BoxFuture<'all, ()>;
}

impl KeptCredential {
    pub(crate) fn new(lookup: impl CredentialLookup + 'static) -> Self {
        Self(Arc::new(lookup))
    }

    /// Checks that the file can be read and used. Helpers are not run.
    pub fn check(&self) -> Result<(), LookupError> {
        self.0.check()
    }

    /// Returns what is kept for this repository now; without a repository, what is kept for the whole registry.
    pub async fn of(&self, repository: Option<&Repository>) -> Result<Credential, LookupError> {
        self.0.look_up(None, repository).await
    }

    /// The same, looked up again if the last result is this refused one.
    pub(crate) async fn other_than(
        &self,
        refused: Option<&Credential>,
        repository: Option<&Repository>,
    ) -> Result<Credential, LookupError> {
        self.0.look_up(refused, repository).await
    }

    /// Notes that the registry refused this newer one too.
    pub(crate) async fn is_refused(&self, credential: &Credential) {
        self.0.is_refused(credential).await;
    }
}

impl PartialEq for KeptCredential {
    fn eq(&self, other: &Self) -> bool {
        self.0.name() == other.0.name()
    }
}

impl Eq for KeptCredential {}

impl fmt::Debug for KeptCredential {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "KeptCredential({})", self.0.name())
    }
}

/// Marks an identity token on its way from the manager to a seed; never sent to a registry.
const IDENTITY_SCHEME: &str = "IdentityToken ";

/// The user name that marks the password as an identity token.
const TOKEN_USER: &str = "<token>";

impl Credential {
    /// From user name and password, as `docker login` and credential helpers store them.
    pub(crate) fn from_login(username: &str, secret: Secret) -> Self {
        if username == TOKEN_USER {
            return Self::IdentityToken(secret);
        }
        Self::Basic {
            username: username.to_owned(),
            password: secret,
        }
    }

    /// Reads an `Authorization` value. `Basic` is decoded, so that it can be exchanged for a token; others stay as is.
    pub fn from_authorization(value: &str) -> Self {
        let trimmed = value.trim();
        if trimmed.is_empty() {
            return Self::Anonymous;
        }
        if let Some(token) = trimmed.strip_prefix(IDENTITY_SCHEME) {
            return Self::IdentityToken(Secret::new(token.trim_start()));
        }
        decode_basic(trimmed).unwrap_or_else(|| Self::Header(Secret::new(trimmed)))
    }

    /// Returns text that [`Credential::from_authorization`] reads back; except for an identity token, an
    /// `Authorization` value. `None` for a kept credential: call [`Credential::looked_up`] first.
    pub fn authorization(&self) -> Option<Secret> {
        match self {
            Self::Anonymous | Self::Kept(_) => None,
            Self::IdentityToken(token) => Some(Secret::new(format!("{IDENTITY_SCHEME}{}", token.expose()))),
            Self::Basic { username, password } => {
                let pair = STANDARD.encode(format!("{username}:{}", password.expose()));
                Some(Secret::new(format!("Basic {pair}")))
            }
            Self::Header(value) => Some(value.clone()),
        }
    }

    /// Whether it is anonymous. A kept credential counts as not anonymous until it is looked up.
    pub fn is_anonymous(&self) -> bool {
        matches!(self, Self::Anonymous)
    }

    /// Returns the credential itself, or the kept one for this repository (without one: for the whole registry).
    pub async fn looked_up(&self, repository: Option<&Repository>) -> Result<Self, LookupError> {
        match self {
            Self::Kept(kept) => kept.of(repository).await,
            other => Ok(other.clone()),
        }
    }

    /// Returns the `Authorization` value of user name and password.
    pub(crate) fn basic(&self) -> Option<Secret> {
        matches!(self, Self::Basic { .. })
            .then(|| self.authorization())
            .flatten()
    }

    /// Returns the credential in a form that can be exchanged for a token, if there is one.
    pub(crate) fn for_exchange(&self) -> Option<Self> {
        match self {
            Self::Header(value) => decode_basic(value.expose()),
            other => Some(other.clone()),
        }
    }

    /// Returns a key for whose requests these are. A kept credential is not looked up for it.
    pub(crate) fn account(&self) -> Digest {
        match self {
            Self::Kept(kept) => Digest::of(kept.0.name().as_bytes()),
            other => other.fingerprint(),
        }
    }

    /// Returns a cache key that does not contain the credential.
    pub(crate) fn fingerprint(&self) -> Digest {
        let text = self.authorization();
        Digest::of(text.as_ref().map_or("", Secret::expose).as_bytes())
    }
}

fn decode_basic(value: &str) -> Option<Credential> {
    let (scheme, pair) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(pair.trim()).ok()?).ok()?;
    let (username, password) = decoded.split_once(':')?;
    Some(Credential::Basic {
        username: username.to_owned(),
        password: Secret::new(password),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_not_printed() {
        let basic = Credential::Basic {
            username: "ann".into(),
            password: Secret::new("s3cret"),
        };
        let header = Credential::Header(Secret::new("Bearer s3cret"));
        assert!(!format!("{basic:?}{header:?}").contains("s3cret"));
    }

    #[test]
    fn basic_is_decoded_and_read_back() {
        let credential = Credential::from_authorization("basic YW5uOnA6dw==");
        assert_eq!(
            credential,
            Credential::Basic {
                username: "ann".into(),
                password: Secret::new("p:w")
            }
        );
        let value = credential.authorization().unwrap();
        assert_eq!(value.expose(), "Basic YW5uOnA6dw==");
        assert_eq!(Credential::from_authorization(value.expose()), credential);
    }

    #[test]
    fn a_value_that_is_not_basic_stays_unchanged() {
        for value in ["Bearer a.b.c", "Basic !!!", "Token x"] {
            assert_eq!(
                Credential::from_authorization(value),
                Credential::Header(Secret::new(value))
            );
        }
        assert_eq!(Credential::from_authorization(" "), Credential::Anonymous);
    }
}
