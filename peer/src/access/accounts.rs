//! Which account a token belongs to, and tokens of our own for when no token server answers.
//!
//! **Invariant:** tokens are kept as HMACs only, in memory only, and end when their makers said so. A token of our
//! own opens nothing by itself: it only says whose kept yeses count.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::RngCore as _;
use tokio::time::Instant;

use super::caller::{CallerKey, Keyring, LOCAL_TOKEN_PREFIX};

/// Tokens that are remembered.
const KEPT: usize = 20_000;
/// What the token specification says when a server says nothing.
const LIFETIME_UNLESS_TOLD: Duration = Duration::from_secs(60);
const LONGEST_LIFETIME: Duration = Duration::from_secs(24 * 3_600);
/// Registries take a token a little longer than it says.
const GRACE: Duration = Duration::from_secs(60);
pub(crate) const LOCAL_LIFETIME: Duration = Duration::from_secs(3_600);

#[derive(Default)]
pub(crate) struct Accounts {
    of_token: Mutex<HashMap<CallerKey, Owner>>,
}

#[derive(Clone, Copy)]
struct Owner {
    account: CallerKey,
    until: Instant,
}

impl Accounts {
    /// A token server gave this token to this account.
    pub(crate) fn remember(&self, token: CallerKey, account: CallerKey, lifetime: Option<Duration>) {
        let lifetime = lifetime.unwrap_or(LIFETIME_UNLESS_TOLD).min(LONGEST_LIFETIME) + GRACE;
        self.insert(token, account, lifetime);
    }

    pub(crate) fn owner(&self, token: CallerKey) -> Option<CallerKey> {
        self.owner_at(token, Instant::now())
    }

    fn owner_at(&self, token: CallerKey, now: Instant) -> Option<CallerKey> {
        let tokens = self.of_token.lock().unwrap_or_else(PoisonError::into_inner);
        tokens
            .get(&token)
            .filter(|owner| now < owner.until)
            .map(|owner| owner.account)
    }

    /// A token of our own for this account: random, good for an hour and only here.
    pub(crate) fn local_token(&self, account: CallerKey, keyring: &Keyring) -> String {
        let mut random = [0; 32];
        rand::rng().fill_bytes(&mut random);
        let token = format!("{LOCAL_TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(random));
        self.insert(keyring.token(&token), account, LOCAL_LIFETIME);
        token
    }

    fn insert(&self, token: CallerKey, account: CallerKey, lifetime: Duration) {
        let now = Instant::now();
        let mut tokens = self.of_token.lock().unwrap_or_else(PoisonError::into_inner);
        if tokens.len() >= KEPT {
            tokens.retain(|_, owner| now < owner.until);
        }
        if tokens.len() >= KEPT {
            tokens.clear();
        }
        let until = now + lifetime;
        tokens.insert(token, Owner { account, until });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_forgotten_after_its_life() {
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
        let token = accounts.local_token(account, &keyring);
        assert_eq!(accounts.owner(keyring.token(&token)), Some(account));
        assert_ne!(token, accounts.local_token(account, &keyring));
        assert_eq!(
            accounts.owner(keyring.token(&format!("{LOCAL_TOKEN_PREFIX}x"))),
            None
        );
    }

    #[test]
    fn the_memory_has_a_bound() {
        let (keyring, accounts) = (Keyring::new(&[3; 32]), Accounts::default());
        for number in 0..=KEPT {
            accounts.remember(keyring.token(&number.to_string()), keyring.anonymous(), None);
        }
        assert!(accounts.of_token.lock().expect("not poisoned").len() <= KEPT);
    }
}
