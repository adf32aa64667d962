//! A cache of `Authorization` values from sign-ins, by repository and credential.
//!
//! **Invariant:** a value is returned only for the same credential and repository. A caller that needs a value which is
//! being fetched waits for it, but not longer than its own limit. A value that was refused right after it was fetched is
//! not renewed for [`STANDS`].

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, timeout};

use crate::challenge::Challenge;
use crate::{Credential, Digest, RegistryError, Repository, Secret};

const KEPT: usize = 1_024;
/// A value is not used this shortly before its end.
const MARGIN: Duration = Duration::from_secs(5);
/// How long a 400 or 403 to a new token counts, so that a registry which always refuses costs no exchange per request.
const STANDS: Duration = Duration::from_secs(30);

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
    refused_since: Mutex<Option<Instant>>,
}

/// A value and its end.
#[derive(Clone)]
pub(super) struct Token {
    pub(super) authorization: Secret,
    pub(super) good_until: Instant,
    renewal: Option<Renewal>,
}

/// How to get another token without asking the registry for its challenge again.
#[derive(Clone)]
pub(super) struct Renewal {
    pub(super) challenge: Challenge,
    pub(super) may_lead_inside: bool,
}

impl Token {
    pub(super) fn new(authorization: Secret, lifetime: Duration) -> Self {
        Self {
            authorization,
            good_until: Instant::now() + lifetime.saturating_sub(MARGIN),
            renewal: None,
        }
    }

    pub(super) fn renewed_by(self, renewal: Renewal) -> Self {
        Self {
            renewal: Some(renewal),
            ..self
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

    /// Returns how to replace a kept token that the registry refused; `None` if the refusal counts.
    pub(super) fn renewal(&self, key: &TokenKey) -> Option<Renewal> {
        let slot = Arc::clone(self.slots.lock().get(key)?);
        let refused_since = *slot.refused_since.lock();
        if refused_since.is_some_and(|since| since.elapsed() < STANDS) {
            return None;
        }
        slot.token.lock().as_ref()?.renewal.clone()
    }

    /// Notes that the registry refused a new token.
    pub(super) fn refused(&self, key: &TokenKey) {
        *self.slot(key).refused_since.lock() = Some(Instant::now());
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
