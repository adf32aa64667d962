//! The state that every handler shares.

use std::sync::Arc;
use std::time::Duration;

use preheat::tokens::Standing as Written;
use preheat::{Preheater, Requester, StorageError};
use process::metrics::Metrics;
use queue::Clock;
use wire::{ClusterName, Joined, PeerIdentity, PublicKey, Role, SecretText};

use crate::server::attempts::Attempts;
use crate::server::authority::{Authority, NotIssued};
use crate::server::problem::Problem;
use crate::server::tokens::{CallerKey, Scope, Scopes, endpoint_hash, endpoint_scopes};
use crate::server::triggers::{HookKind, HookSettings, Hooks, Outcome, Rules, TriggerMetrics};
use crate::server::watchers::Watchers;

/// How long an expired or revoked token may poll its preheats: Harbor's jobs last at most 30 minutes.
const GRACE_MS: i64 = 30 * 60 * 1000;

/// Whether callers must send a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AuthMode {
    #[default]
    Tokens,
    /// Every caller may do everything. A wrong token is still refused.
    None,
}

/// The parts of an [`App`].
pub struct AppParts {
    pub preheater: Preheater,
    pub callers: CallerKey,
    pub authority: Authority,
    pub auth: AuthMode,
    pub clock: Arc<dyn Clock>,
    pub route_settings: RouteSettings,
}

/// Configured behaviour of the routes for Harbor and registries.
#[derive(Debug, Clone, Default)]
pub struct RouteSettings {
    /// URL at which others reach this manager, if configured.
    pub public_url: Option<String>,
    /// Which pushes lead to a preheat.
    pub rules: Rules,
    /// Settings of webhooks of registries.
    pub hooks: Hooks,
    /// Port that peers connect to.
    pub peer_port: u16,
    /// How long a call of Harbor's provider "Kraken" waits for the result, because Harbor takes the response as
    /// final.
    pub kraken_waits: Duration,
}

/// The state that every handler shares; clones share it.
#[derive(Clone)]
pub struct App(Arc<Shared>);

struct Shared {
    parts: AppParts,
    watchers: Watchers,
    triggers: TriggerMetrics,
    attempts: Attempts,
}

/// A peer could not get its certificate.
#[derive(Debug, thiserror::Error)]
pub enum NoMembership {
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    NotIssued(#[from] NotIssued),
}

/// A caller whose token has been checked.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// Id of the token; none if no token is required.
    pub(crate) token: Option<String>,
    pub(crate) scopes: Scopes,
}

impl Caller {
    pub(crate) fn may(&self, scope: Scope) -> bool {
        self.scopes.allow(scope)
    }
}

/// What a token is valid for now.
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
        self.0.parts.route_settings.peer_port
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

    /// The standing of a caller without a token, if none is required.
    pub(crate) fn standing_of_nobody(&self) -> Option<Standing> {
        (self.0.parts.auth == AuthMode::None).then(|| {
            Standing::Good(Caller {
                token: None,
                scopes: Scopes::all(),
            })
        })
    }

    pub(crate) fn public_url(&self) -> Option<&str> {
        self.0.parts.route_settings.public_url.as_deref()
    }

    pub(crate) fn kraken_waits(&self) -> Duration {
        self.0.parts.route_settings.kraken_waits
    }

    pub(crate) fn rules(&self) -> &Rules {
        &self.0.parts.route_settings.rules
    }

    pub(crate) fn hook(&self, kind: HookKind) -> HookSettings {
        let hooks = &self.0.parts.route_settings.hooks;
        hooks.get(&kind).cloned().unwrap_or_default()
    }

    /// Counts the outcome of a push event.
    pub(crate) fn count(&self, source: Requester, outcome: Outcome) {
        self.0.triggers.count(source, outcome);
    }

    pub(crate) fn register_metrics(&self, metrics: &Metrics) {
        metrics.register(|registry| self.0.triggers.register(registry));
    }

    /// Joins the peer of the manager's own process, without a token.
    pub async fn join_directly(
        &self,
        role: Role,
        cluster: ClusterName,
        key: PublicKey,
    ) -> Result<Joined, NoMembership> {
        let identity = preheat::join_directly(self.preheater(), role, cluster, key.hash()).await?;
        self.membership(&identity, key).await
    }

    /// Issues the certificate for this identity and key, with what the peer needs besides.
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
            // Signed with our key but not in our list, so it could not be revoked.
            Written::Unknown => return Err(Problem::sign_in()),
            Written::Good => None,
            Written::Revoked { at_ms } => Some(at_ms),
        };
        let expires_ms = claims.exp.saturating_mul(1000);
        let ends_ms = revoked_ms.map_or(expires_ms, |revoked_ms| revoked_ms.min(expires_ms));
        self.standing_until(ends_ms, claims.jti, claims.scopes)
    }

    /// The standing of a token from the path of an endpoint.
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
