//! `Authorization` values that a sign-in brought, per repository and credential.
//!
//! **Invariant:** a value is found again only by the same credential and repository. Whoever needs one that is just
//! being fetched waits for it, but never longer than the limit it gives.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, timeout};

use crate::{Credential, Digest, RegistryError, Repository, Secret};

const KEPT: usize = 1_024;
/// A value this close to its end is not used any more.
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

/// A value and until when it may be used.
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

    /// A value other than `refused`: one that somebody fetched meanwhile, or what `fetch` brings.
    pub(super) async fn renew(
        &self,
        key: &TokenKey,
        refused: Option<&Secret>,
        wait: Duration,
        fetch: impl Future<Output = Result<Token, RegistryError>>,
    ) -> Result<Secret, RegistryError> {
        let slot = self.slot(key);
        // After the limit we fetch for ourselves: a second exchange does no harm, an endless queue would.
        let _turn = timeout(wait, slot.fetching.lock()).await;
        if let Some(good) = slot.good().filter(|good| Some(good) != refused) {
            return Ok(good);
        }
        let token = fetch.await?;
        let authorization = token.authorization.clone();
        *slot.token.lock() = Some(token);
        Ok(authorization)
    }

    /// The registry does not take this one any more.
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
