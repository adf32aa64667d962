//! The account of each token, and tokens of our own for when a token server is unreachable.
//!
//! **Invariant:** a token stands for an account only at the registry that it was issued for, and only while that registry
//! names the same token server and service. Tokens are kept as HMACs, in memory, until they expire. A token of our own
//! grants nothing: it only says whose kept grants count.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::RngCore as _;
use tokio::time::Instant;

use super::caller_key::{CallerKey, Keyring, LOCAL_TOKEN_PREFIX};
use super::issuer::Issuer;
use crate::expiring_map::ExpiringMap;

/// The most tokens that are kept.
const KEPT: usize = 20_000;
/// The token specification's default.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(60);
const LONGEST_LIFETIME: Duration = Duration::from_secs(24 * 3_600);
/// Registries accept a token a little longer than its lifetime.
const GRACE: Duration = Duration::from_secs(60);
pub(crate) const LOCAL_LIFETIME: Duration = Duration::from_secs(3_600);

pub(crate) struct Accounts {
    /// By [`Keyring::issued`].
    of_token: ExpiringMap<CallerKey, CallerKey>,
}

impl Default for Accounts {
    fn default() -> Self {
        Self {
            of_token: ExpiringMap::new(KEPT),
        }
    }
}

impl Accounts {
    /// Keeps the account that a token server issued this token to. `token` includes the issuer ([`Keyring::issued`]).
    pub(crate) fn remember(&self, token: CallerKey, account: CallerKey, lifetime: Option<Duration>) {
        let lifetime = lifetime.unwrap_or(DEFAULT_LIFETIME).min(LONGEST_LIFETIME) + GRACE;
        self.insert(token, account, lifetime);
    }

    pub(crate) fn owner(&self, token: CallerKey) -> Option<CallerKey> {
        self.owner_at(token, Instant::now())
    }

    fn owner_at(&self, token: CallerKey, now: Instant) -> Option<CallerKey> {
        self.of_token.get(&token, now)
    }

    /// Makes a token of our own for this account: random, valid for an hour, only here and only for the issuer's registry.
    pub(crate) fn local_token(&self, account: CallerKey, issuer: &Issuer, keyring: &Keyring) -> String {
        let mut random = [0; 32];
        rand::rng().fill_bytes(&mut random);
        let token = format!("{LOCAL_TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(random));
        let key = keyring.issued(keyring.token(&token), issuer);
        self.insert(key, account, LOCAL_LIFETIME);
        token
    }

    fn insert(&self, token: CallerKey, account: CallerKey, lifetime: Duration) {
        let now = Instant::now();
        self.of_token.insert(token, account, now + lifetime, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issuer(registry: &str, realm: &str, service: Option<&str>) -> Issuer {
        Issuer {
            origin: registry.parse().expect("an origin"),
            realm: realm.to_owned(),
            service: service.map(ToOwned::to_owned),
        }
    }

    #[test]
    fn a_token_stands_for_an_account_only_where_its_issuer_is_the_same() {
        let (registry, realm) = ("https://reg.lan", "https://reg.lan/token");
        let own = issuer(registry, realm, Some("reg"));
        let (keyring, accounts) = (Keyring::new(&[3; 32]), Accounts::default());
        let (token, account) = (keyring.token("t"), keyring.account("ann", "pw"));
        accounts.remember(keyring.issued(token, &own), account, None);
        assert_eq!(accounts.owner(keyring.issued(token, &own)), Some(account));
        for other in [
            issuer("http://reg.lan", realm, Some("reg")),
            issuer("https://reg.lan:8443", realm, Some("reg")),
            issuer("https://reg.lan/files/mallory", realm, Some("reg")),
            issuer(registry, "http://reg.lan/token", Some("reg")),
            issuer(registry, "https://reg.lan:8443/token", Some("reg")),
            issuer(registry, "https://reg.lan/files/mallory/token", Some("reg")),
            issuer(registry, realm, Some("other")),
            issuer(registry, realm, Some("")),
            issuer(registry, realm, None),
        ] {
            assert_eq!(accounts.owner(keyring.issued(token, &other)), None, "{other:?}");
        }
    }

    #[test]
    fn a_token_is_forgotten_after_its_lifetime() {
        let (keyring, accounts) = (Keyring::new(&[3; 32]), Accounts::default());
        let (token, account) = (keyring.token("t"), keyring.account("ann", "pw"));
        accounts.remember(token, account, Some(Duration::from_secs(300)));
        assert_eq!(accounts.owner(token), Some(account));
        let later = Instant::now() + Duration::from_secs(361);
        assert_eq!(accounts.owner_at(token, later), None);
    }

    #[test]
    fn a_token_of_our_own_names_its_account_and_cannot_be_guessed() {
        let (keyring, accounts) = (Keyring::new(&[3; 32]), Accounts::default());
        let account = keyring.account("ann", "pw");
        let issuer = issuer("https://reg.lan", "https://reg.lan/token", None);
        let owner = |token: &str| accounts.owner(keyring.issued(keyring.token(token), &issuer));
        let token = accounts.local_token(account, &issuer, &keyring);
        assert_eq!(owner(&token), Some(account));
        assert_ne!(token, accounts.local_token(account, &issuer, &keyring));
        assert_eq!(owner(&format!("{LOCAL_TOKEN_PREFIX}x")), None);
    }
}
