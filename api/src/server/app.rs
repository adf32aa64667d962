//! All that a handler may use.

use std::sync::Arc;
use std::time::Duration;

use preheat::tokens::Standing as Written;
use preheat::{Origin, Preheater, StorageError};
use process::metrics::Metrics;
use queue::Clock;
use wire::{ClusterName, Joined, PeerIdentity, PublicKey, Role, SecretText};

use crate::server::attempts::Attempts;
use crate::server::authority::{Authority, NotIssued};
use crate::server::problem::Problem;
use crate::server::tokens::{CallerKey, Scope, Scopes, endpoint_hash, endpoint_scopes};
use crate::server::triggers::{Outcome, Rules, TriggerMetrics};
use crate::server::watchers::Watchers;

/// An ended token may poll the preheats that it made for this long: Harbor's jobs last 30 minutes at most.
const GRACE_MS: i64 = 30 * 60 * 1000;

/// Whether callers have to show a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AuthMode {
    #[default]
    Tokens,
    /// Everybody may do everything. A wrong token is refused all the same.
    None,
}

/// What an [`App`] is made of.
pub struct AppParts {
    pub preheater: Preheater,
    pub callers: CallerKey,
    pub authority: Authority,
    pub auth: AuthMode,
    pub clock: Arc<dyn Clock>,
    pub rims: Rims,
}

/// What the doors for Harbor and registries go by, as the configuration has it.
#[derive(Debug, Clone, Default)]
pub struct Rims {
    /// The URL under which others reach this manager, if it is known.
    pub public_url: Option<String>,
    /// What is preheated when registries tell of pushes.
    pub rules: Rules,
    /// The port that peers call.
    pub peer_port: u16,
    /// How long a call of Harbor's provider "Kraken", which takes the answer for the end, is kept waiting for it.
    pub kraken_waits: Duration,
}

/// All that a handler may use; clones share it.
#[derive(Clone)]
pub struct App(Arc<Shared>);

struct Shared {
    parts: AppParts,
    watchers: Watchers,
    triggers: TriggerMetrics,
    attempts: Attempts,
}

/// A peer could not be given what makes it one.
#[derive(Debug, thiserror::Error)]
pub enum NoMembership {
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    NotIssued(#[from] NotIssued),
}

/// Who calls, once their token has been checked.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// The token's id; none where no token is needed.
    pub(crate) token: Option<String>,
    pub(crate) scopes: Scopes,
}

impl Caller {
    pub(crate) fn may(&self, scope: Scope) -> bool {
        self.scopes.allow(scope)
    }
}

/// What a token is worth at this moment.
pub(crate) enum Standing {
    Good(Caller),
    /// Expired or revoked not long ago.
    Former {
        token: String,
    },
}

impl App {
    pub fn new(parts: AppParts) -> Self {
        Self(Arc::new(Shared {
            parts,
            watchers: Watchers::default(),
            triggers: TriggerMetrics::default(),
            attempts: Attempts::default(),
        }))
    }

    pub(crate) fn watchers(&self) -> &Watchers {
        &self.0.watchers
    }

    pub(crate) fn preheater(&self) -> &Preheater {
        &self.0.parts.preheater
    }

    pub(crate) fn caller_key(&self) -> &CallerKey {
        &self.0.parts.callers
    }

    pub(crate) fn authority(&self) -> &Authority {
        &self.0.parts.authority
    }

    pub(crate) fn attempts(&self) -> &Attempts {
        &self.0.attempts
    }

    pub(crate) fn peer_port(&self) -> u16 {
        self.0.parts.rims.peer_port
    }

    pub(crate) async fn joined(&self, identity: &PeerIdentity, key: PublicKey) -> Result<Joined, Problem> {
        let membership = self.membership(identity, key).await;
        membership.map_err(|fault| match fault {
            NoMembership::Storage(cause) => Problem::storage(&cause),
            NoMembership::NotIssued(cause) => Problem::internal(&cause),
        })
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.0.parts.clock.now_ms()
    }

    /// Of a caller who shows nothing: only where no token is needed.
    pub(crate) fn standing_of_nobody(&self) -> Option<Standing> {
        (self.0.parts.auth == AuthMode::None).then(|| {
            Standing::Good(Caller {
                token: None,
                scopes: Scopes::all(),
            })
        })
    }

    pub(crate) fn public_url(&self) -> Option<&str> {
        self.0.parts.rims.public_url.as_deref()
    }

    pub(crate) fn kraken_waits(&self) -> Duration {
        self.0.parts.rims.kraken_waits
    }

    pub(crate) fn rules(&self) -> &Rules {
        &self.0.parts.rims.rules
    }

    /// What became of something that a registry told of.
    pub(crate) fn count(&self, source: Origin, outcome: Outcome) {
        self.0.triggers.count(source, outcome);
    }

    pub(crate) fn register_metrics(&self, metrics: &Metrics) {
        metrics.register(|registry| self.0.triggers.register(registry));
    }

    /// The peer of the manager's own process joins, without a token.
    pub async fn join_directly(
        &self,
        role: Role,
        cluster: ClusterName,
        key: PublicKey,
    ) -> Result<Joined, NoMembership> {
        let identity = preheat::join_directly(self.preheater(), role, cluster, key.hash()).await?;
        self.membership(&identity, key).await
    }

    /// What a peer with this identity and key gets: a certificate, and what goes with it.
    async fn membership(&self, identity: &PeerIdentity, key: PublicKey) -> Result<Joined, NoMembership> {
        Ok(Joined {
            certificate_pem: self.authority().issue(identity, key, self.now_ms() / 1_000)?,
            ca_pem: self.authority().ca_pem().to_owned(),
            signing_key: self.preheater().verifying_key(),
            removals: preheat::removal_list(self.preheater()).await?,
        })
    }

    pub(crate) async fn standing_of(&self, token: &SecretText) -> Result<Standing, Problem> {
        let claims = self
            .0
            .parts
            .callers
            .check(token.expose())
            .map_err(|_| Problem::sign_in())?;
        let revoked_ms = match preheat::tokens::standing(self.preheater(), &claims.jti).await? {
            // Signed with our key and not in our list, so nobody could revoke it.
            Written::Unknown => return Err(Problem::sign_in()),
            Written::Good => None,
            Written::Revoked { at_ms } => Some(at_ms),
        };
        let expires_ms = claims.exp.saturating_mul(1000);
        let ends_ms = revoked_ms.map_or(expires_ms, |revoked_ms| revoked_ms.min(expires_ms));
        self.standing_until(ends_ms, claims.jti, claims.scopes)
    }

    /// Of a token that stood in the path.
    pub(crate) async fn standing_of_endpoint(&self, token: &SecretText) -> Result<Standing, Problem> {
        let hash = endpoint_hash(token).ok_or_else(Problem::sign_in)?;
        let endpoint = preheat::tokens::endpoint(self.preheater(), &hash)
            .await?
            .ok_or_else(Problem::sign_in)?;
        let ends_ms = [endpoint.expires_ms, endpoint.revoked_ms]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(i64::MAX);
        self.standing_until(ends_ms, endpoint.id, endpoint_scopes())
    }

    fn standing_until(&self, ends_ms: i64, token: String, scopes: Scopes) -> Result<Standing, Problem> {
        let now_ms = self.now_ms();
        if now_ms < ends_ms {
            let scopes = if self.0.parts.auth == AuthMode::None {
                Scopes::all()
            } else {
                scopes
            };
            return Ok(Standing::Good(Caller {
                token: Some(token),
                scopes,
            }));
        }
        if now_ms < ends_ms.saturating_add(GRACE_MS) {
            return Ok(Standing::Former { token });
        }
        Err(Problem::sign_in())
    }
}
