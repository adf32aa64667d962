//! What `access` keeps. The decisions are methods of [`Access`] in the modules beside this one.

use std::sync::Arc;

use oci::{Digest, Location};
use process::Running;
use store::Store;

use super::accounts::Accounts;
use super::allowed::AllowedRegistries;
use super::bars::Bars;
use super::caller_key::Keyring;
use super::challenge_relay::ChallengeRelay;
use super::failure::RateLimited;
use super::grants::Grants;
use super::listings::Listings;
use super::notes::StoreNotes;
use super::reach::Reach;
use super::registry_refusals::RegistryRefusals;
use super::running_questions::RunningQuestions;
use super::sealed_credentials::SealedCredentials;
use super::token_clients::TokenClients;
use crate::config::FrontLimits;
use crate::expiring_map::ExpiringMap;
use crate::neighbours::Neighbours;
use crate::records::Records;
use crate::source::ShareClient;

const GRANT_NOTES: &str = "front-yes";
const CHALLENGE_NOTES: &str = "front-challenge";
/// Objects that are known not to be public.
const NOT_PUBLIC_KEPT: usize = 10_000;

/// Decides which caller may read what. Clones share one state.
#[derive(Clone)]
pub(crate) struct Access(Arc<AccessState>);

pub(crate) struct AccessState {
    pub(super) store: Store,
    pub(super) records: Records,
    pub(super) neighbours: Neighbours,
    pub(super) peers: ShareClient,
    pub(super) limits: FrontLimits,
    pub(super) now: Box<dyn Fn() -> i64 + Send + Sync>,
    pub(super) keyring: Keyring,
    pub(super) accounts: Accounts,
    pub(super) sealed_credentials: SealedCredentials,
    pub(super) allowed: AllowedRegistries,
    pub(super) grants: Grants,
    pub(super) bars: Bars,
    pub(super) listings: Listings,
    pub(super) challenges: ChallengeRelay,
    pub(super) reach: Reach,
    pub(super) rate_limited: RateLimited,
    pub(super) refusals: RegistryRefusals,
    pub(super) running_questions: RunningQuestions,
    pub(super) running: Running,
    /// Objects that no seed showed to be public when all seeds answered.
    pub(super) not_public: ExpiringMap<(Location, Digest), ()>,
    pub(super) token_clients: TokenClients,
}

impl Access {
    /// `secret` is this peer's own key for callers' HMACs. `now` is Unix milliseconds. Questions that outlive their
    /// caller belong to `running`.
    pub(crate) fn new(
        (store, records): (Store, Records),
        neighbours: Neighbours,
        peers: ShareClient,
        limits: FrontLimits,
        secret: [u8; 32],
        running: Running,
        now: impl Fn() -> i64 + Send + Sync + 'static,
    ) -> Self {
        let notes = |table| StoreNotes {
            store: store.clone(),
            table,
        };
        Self(Arc::new(AccessState {
            grants: Grants::open(notes(GRANT_NOTES)),
            challenges: ChallengeRelay::open(notes(CHALLENGE_NOTES)),
            bars: Bars::new(store.clone()),
            listings: Listings::new(store.clone()),
            allowed: AllowedRegistries::new(neighbours.clone(), limits.allow.clone()),
            keyring: Keyring::new(&secret),
            accounts: Accounts::default(),
            sealed_credentials: SealedCredentials::new(&secret),
            reach: Reach::new(tokio::time::Instant::now),
            rate_limited: RateLimited::default(),
            refusals: RegistryRefusals::default(),
            running_questions: RunningQuestions::default(),
            running,
            not_public: ExpiringMap::new(NOT_PUBLIC_KEPT),
            token_clients: TokenClients::default(),
            now: Box::new(now),
            store,
            records,
            neighbours,
            peers,
            limits,
        }))
    }

    pub(crate) fn allowed(&self) -> &AllowedRegistries {
        &self.0.allowed
    }

    /// Returns a blob's size, if a manifest of this location that was read lists the blob.
    pub(crate) fn size_of(&self, location: &Location, blob: &Digest) -> Option<u64> {
        self.listings.size_of(location, blob)
    }

    /// Keeps what a proven manifest lists. It need not be on the disk yet.
    pub(crate) fn read_listing(
        &self,
        location: &Location,
        manifest: &Digest,
        bytes: &[u8],
        media_type: &str,
    ) {
        self.listings.learn(location, manifest, bytes, media_type);
    }
}

impl std::ops::Deref for Access {
    type Target = AccessState;

    fn deref(&self) -> &AccessState {
        &self.0
    }
}
