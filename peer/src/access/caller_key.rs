//! The caller's credential as a key. Requests to the registry carry the credential itself; only the key is kept.
//!
//! **Invariant:** a [`CallerKey`] identifies a caller and reveals no secret: it is an HMAC under a key that never leaves
//! this peer. Secrets live as long as their request.

use std::fmt;

use aws_lc_rs::hmac;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use oci::{Credential, Secret};

use super::issuer::Issuer;

/// The prefix of this peer's own tokens, which are never sent to a registry.
pub(crate) const LOCAL_TOKEN_PREFIX: &str = "stoker-local.";
/// What a caller without a credential gets from our own token path. It counts as no credential.
pub(crate) const ANONYMOUS_TOKEN: &str = "stoker-local.anonymous";

/// A caller, by HMAC.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct CallerKey([u8; 32]);

impl CallerKey {
    pub(crate) fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for CallerKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("CallerKey(…)")
    }
}

/// Makes keys from credentials. Each kind has its own domain: a token that reads like a user and password is another
/// caller.
pub(crate) struct Keyring(hmac::Key);

impl Keyring {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    pub(crate) fn anonymous(&self) -> CallerKey {
        self.key("anonymous", &[])
    }

    pub(crate) fn account(&self, username: &str, password: &str) -> CallerKey {
        self.key("account", &[username, password])
    }

    pub(crate) fn refresh_token(&self, token: &str) -> CallerKey {
        self.key("refresh", &[token])
    }

    /// Returns the key of the token itself.
    pub(crate) fn token(&self, token: &str) -> CallerKey {
        self.key("token", &[token])
    }

    /// Returns the key for a token's account: the token, with its issuer and registry.
    pub(super) fn issued(&self, token: CallerKey, issuer: &Issuer) -> CallerKey {
        let token = hex::encode(token.bytes());
        let origin = issuer.origin.to_string();
        let mut parts = vec![token.as_str(), origin.as_str(), issuer.realm.as_str()];
        parts.extend(issuer.service.as_deref());
        self.key("issued", &parts)
    }

    fn other(&self, authorization: &str) -> CallerKey {
        self.key("other", &[authorization])
    }

    fn key(&self, domain: &str, parts: &[&str]) -> CallerKey {
        let mut context = hmac::Context::with_key(&self.0);
        for part in std::iter::once(&domain).chain(parts) {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        let mut bytes = [0; 32];
        for (to, from) in bytes.iter_mut().zip(context.sign().as_ref()) {
            *to = *from;
        }
        CallerKey(bytes)
    }
}

/// The kind of credential in a request, with its key.
#[derive(Debug, Clone)]
pub(crate) enum ShownCredential {
    Nothing,
    /// User name and password.
    Account(CallerKey),
    /// A token; its account may be known.
    Token(CallerKey),
    /// A token of our own; its account is known until it expires.
    LocalToken(CallerKey),
    Other(CallerKey),
}

/// Returns the credential in `Authorization`, with the value to send to the registry.
pub(crate) fn shown(headers: &HeaderMap, keyring: &Keyring) -> (ShownCredential, Option<Secret>) {
    let Some(value) = headers.get(AUTHORIZATION) else {
        return (ShownCredential::Nothing, None);
    };
    // Bytes that are not text are a credential too, never the anonymous caller.
    let text = String::from_utf8_lossy(value.as_bytes()).trim().to_owned();
    if is_empty_credential(&text) {
        return (ShownCredential::Nothing, None);
    }
    if let Credential::Basic { username, password } = Credential::from_authorization(&text) {
        let key = keyring.account(&username, password.expose());
        return (ShownCredential::Account(key), Some(Secret::new(text)));
    }
    let Some(token) = bearer(&text) else {
        return (
            ShownCredential::Other(keyring.other(&text)),
            Some(Secret::new(text)),
        );
    };
    let key = keyring.token(token);
    if token.starts_with(LOCAL_TOKEN_PREFIX) {
        return (ShownCredential::LocalToken(key), None);
    }
    (ShownCredential::Token(key), Some(Secret::new(text)))
}

/// Returns whether the value holds no credential: skopeo answers a `Basic` challenge with `Basic Og==`, an empty user
/// name and password, if it has none.
fn is_empty_credential(text: &str) -> bool {
    let (scheme, rest) = text.split_once(' ').unwrap_or((text, ""));
    let is = |wanted: &str| scheme.eq_ignore_ascii_case(wanted);
    match rest.trim() {
        "" => text.is_empty() || is("basic") || is("bearer"),
        "Og==" | "Og" => is("basic"),
        ANONYMOUS_TOKEN => is("bearer"),
        _ => false,
    }
}

/// Returns whether the request shows a credential, an anonymous token included: its sender has seen our challenge.
pub(crate) fn has_authorization(headers: &HeaderMap) -> bool {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).trim().to_owned();
    let value = headers.get(AUTHORIZATION).map(text);
    value.is_some_and(|text| bearer(&text) == Some(ANONYMOUS_TOKEN) || !is_empty_credential(&text))
}

/// Returns the token of a `Bearer` value that begins as tokens of our own do.
pub(crate) fn local_token(headers: &HeaderMap) -> Option<&str> {
    let token = bearer(headers.get(AUTHORIZATION)?.to_str().ok()?.trim())?;
    token.starts_with(LOCAL_TOKEN_PREFIX).then_some(token)
}

fn bearer(text: &str) -> Option<&str> {
    let (scheme, token) = text.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn with(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(AUTHORIZATION, value.parse().expect("a header"))])
    }

    #[test]
    fn an_account_has_one_key_however_its_header_is_written() {
        let keyring = Keyring::new(&[7; 32]);
        for header in ["Basic YW5uOnB3", "basic  YW5uOnB3"] {
            let (ShownCredential::Account(key), Some(_)) = shown(&with(header), &keyring) else {
                panic!("{header} is no account");
            };
            assert_eq!(key, keyring.account("ann", "pw"));
        }
    }

    #[test]
    fn a_local_token_is_not_passed_on() {
        let keyring = Keyring::new(&[7; 32]);
        let (shown, to_pass_on) = shown(&with("Bearer stoker-local.abc"), &keyring);
        assert!(matches!(shown, ShownCredential::LocalToken(_)));
        assert!(to_pass_on.is_none());
    }

    #[test]
    fn an_empty_credential_is_none_and_is_not_passed_on() {
        let keyring = Keyring::new(&[7; 32]);
        let anonymous = format!("bearer  {ANONYMOUS_TOKEN}");
        let empty = ["", " ", "Basic Og==", "basic  Og", "Basic", "Bearer ", &anonymous];
        for value in empty {
            let (shown, to_pass_on) = shown(&with(value), &keyring);
            assert!(matches!(shown, ShownCredential::Nothing), "{value}");
            assert!(to_pass_on.is_none(), "{value}");
        }
        for value in ["Basic OnB3", "Basic YW5uOg==", "Bearer Og==", "Token Og=="] {
            let (shown, to_pass_on) = shown(&with(value), &keyring);
            assert!(!matches!(shown, ShownCredential::Nothing), "{value}");
            assert!(to_pass_on.is_some(), "{value}");
        }
        assert!(!has_authorization(&with("Basic Og==")));
        assert!(has_authorization(&with(&anonymous)));
    }

    #[test]
    fn another_node_makes_other_keys() {
        assert_ne!(
            Keyring::new(&[1; 32]).anonymous(),
            Keyring::new(&[2; 32]).anonymous()
        );
    }

    proptest! {
        #[test]
        fn different_callers_have_different_keys(one: (String, String), other: (String, String)) {
            let keyring = Keyring::new(&[7; 32]);
            let same = keyring.account(&one.0, &one.1) == keyring.account(&other.0, &other.1);
            prop_assert_eq!(same, one == other);
            prop_assert_ne!(keyring.account(&one.0, &one.1), keyring.anonymous());
            prop_assert_ne!(keyring.token(&one.0), keyring.refresh_token(&one.0));
        }

        #[test]
        fn a_printed_key_reveals_nothing(secret in "[a-z]{8,20}") {
            let shown = format!("{:?}", Keyring::new(&[7; 32]).token(&secret));
            prop_assert!(!shown.contains(&secret));
        }
    }
}
