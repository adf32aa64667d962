//! A cache of `Authorization` values from sign-ins, by repository and credential.
//!
//! **Invariant:** a value is returned only for the same credential and repository. A caller that needs a value which is
//! being fetched waits for it, but not longer than its own limit.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, timeout};

use crate::{Credential, Digest, RegistryError, Repository, Secret};

const KEPT: usize = 1_024;
/// A value is not used this shortly before its end.
const MARGIN: Duration = Duration::from_secs(5);

#[derive(Default)]
pub(super) struct Tokens {
    slots: Mutex<HashMap<TokenKey, Arc<Slot>>>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct TokenKey {
    repository: Repository,
    credential: Digest,
}

#[derive(Default)]
struct Slot {
    fetching: tokio::sync::Mutex<()>,
    token: Mutex<Option<Token>>,
}

/// A value and its end.
#[derive(Clone)]
pub(super) struct Token {
    pub(super) authorization: Secret,
    pub(super) good_until: Instant,
}

impl Token {
    pub(super) fn new(authorization: Secret, lifetime: Duration) -> Self {
        Self {
            authorization,
            good_until: Instant::now() + lifetime.saturating_sub(MARGIN),
        }
    }

    fn is_good(&self) -> bool {
        Instant::now() < self.good_until
    }
}

impl TokenKey {
    pub(super) fn new(repository: &Repository, credential: &Credential) -> Self {
        Self {
            repository: repository.clone(),
            credential: credential.fingerprint(),
        }
    }
}

impl Tokens {
    pub(super) fn current(&self, key: &TokenKey) -> Option<Secret> {
        let slots = self.slots.lock();
        slots.get(key)?.good()
    }

    /// Returns a value other than `refused`: one that another caller fetched meanwhile, or the result of `fetch`.
    pub(super) async fn renew(
        &self,
        key: &TokenKey,
        refused: Option<&Secret>,
        wait: Duration,
        fetch: impl Future<Output = Result<Token, RegistryError>>,
    ) -> Result<Secret, RegistryError> {
        let slot = self.slot(key);
        // After the limit we fetch ourselves: a second exchange does no harm, an endless queue would.
        let _turn = timeout(wait, slot.fetching.lock()).await;
        if let Some(good) = slot.good().filter(|good| Some(good) != refused) {
            return Ok(good);
        }
        let token = fetch.await?;
        let authorization = token.authorization.clone();
        *slot.token.lock() = Some(token);
        Ok(authorization)
    }

    /// Drops a value that the registry refused.
    pub(super) fn forget(&self, key: &TokenKey, refused: &Secret) {
        let slot = self.slot(key);
        let mut token = slot.token.lock();
        if token
            .as_ref()
            .is_some_and(|token| token.authorization == *refused)
        {
            *token = None;
        }
    }

    fn slot(&self, key: &TokenKey) -> Arc<Slot> {
        let mut slots = self.slots.lock();
        if slots.len() >= KEPT && !slots.contains_key(key) {
            slots.retain(|_, slot| slot.good().is_some());
            if slots.len() >= KEPT {
                slots.clear();
            }
        }
        Arc::clone(slots.entry(key.clone()).or_default())
    }
}

impl Slot {
    fn good(&self) -> Option<Secret> {
        let token = self.token.lock();
        token
            .as_ref()
            .filter(|token| token.is_good())
            .map(|token| token.authorization.clone())
    }
}
