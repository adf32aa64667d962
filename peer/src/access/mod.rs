//! Who may read what: asks registries with their callers' own credentials and keeps what they said.
//!
//! Few doors: [`Access::who`] reads a caller, [`Access::may_read`] and [`Access::meaning`] decide, [`Access::learn`]
//! and [`Access::grant`] take in what a registry said, [`Access::refusal`] puts a no into words, [`Access::token`]
//! relays a sign-in.
//!
//! **Invariant:** a yes is for one caller, one location and one digest, and comes from the registry.
//!
//! Non-goals: bytes. `front` and `relay` get them from the store and from fetches once access says yes.

mod accounts;
mod allowed;
mod answer;
mod authorize;
mod bars;
mod caller;
mod caller_key;
mod challenge_relay;
mod decision;
mod failure;
mod grants;
mod listings;
mod permission;
mod questions;
mod reach;
mod refusal;
mod registry_refusals;
mod seeds;
mod tag_questions;
mod tags;
mod token_relay;

use std::sync::Arc;

use oci::{Digest, Location};
use process::Running;
use store::Store;

pub(crate) use allowed::{Allowed, is_named};
pub(crate) use answer::{Answer, Granted, Told};
pub(crate) use authorize::Meant;
pub(crate) use caller::Who;
pub(crate) use challenge_relay::TOKEN_PATH;
pub(crate) use refusal::{Refusal, error, json};

use crate::config::FrontLimits;
use crate::neighbours::Neighbours;
use crate::records::Records;
use crate::source::ShareClient;
use accounts::Accounts;
use caller_key::Keyring;
use challenge_relay::ChallengeRelay;
use failure::RateLimited;
use grants::{Notes, Yeses};
use listings::Listings;
use reach::Reach;
use registry_refusals::Refused;
use seeds::NotPublic;
use tag_questions::TagQuestions;

const YES_NOTES: &str = "front-yes";
const CHALLENGE_NOTES: &str = "front-challenge";

/// Everything that is known of who may read what. Clones share it.
#[derive(Clone)]
pub(crate) struct Access(Arc<Inner>);

pub(crate) struct Inner {
    store: Store,
    records: Records,
    neighbours: Neighbours,
    peers: ShareClient,
    limits: FrontLimits,
    now: Box<dyn Fn() -> i64 + Send + Sync>,
    keyring: Keyring,
    accounts: Accounts,
    yeses: Yeses,
    listings: Listings,
    challenges: ChallengeRelay,
    reach: Reach,
    rate_limited: RateLimited,
    refused: Refused,
    tag_questions: TagQuestions,
    running: Running,
    not_public: NotPublic,
    token_clients: token_relay::Clients,
}

impl Access {
    /// `secret` is this peer's own: what is remembered of callers is only good with it. `now` is Unix milliseconds.
    /// Questions that outlast their caller belong to `running`.
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
        Self(Arc::new(Inner {
            yeses: Yeses::open(notes(YES_NOTES)),
            challenges: ChallengeRelay::open(notes(CHALLENGE_NOTES)),
            listings: Listings::new(store.clone()),
            keyring: Keyring::new(&secret),
            accounts: Accounts::default(),
            reach: Reach::new(tokio::time::Instant::now),
            rate_limited: RateLimited::default(),
            refused: Refused::default(),
            tag_questions: TagQuestions::default(),
            running,
            not_public: NotPublic::default(),
            token_clients: token_relay::Clients::default(),
            now: Box::new(now),
            store,
            records,
            neighbours,
            peers,
            limits,
        }))
    }
}

impl Access {
    /// How long a blob is, as far as the manifests of this location say that were read so far.
    pub(crate) fn size_of(&self, location: &Location, blob: &Digest) -> Option<u64> {
        self.listings.size_of(location, blob)
    }

    /// Takes what a proven manifest lists, also before it is on the disk.
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
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

/// Notes of one table of the store's index.
struct StoreNotes {
    store: Store,
    table: &'static str,
}

impl Notes for StoreNotes {
    fn put(&self, name: &str, value: &[u8]) {
        self.store.put_note(self.table, name, value);
    }

    fn remove(&self, name: &str) {
        self.store.remove_note(self.table, name);
    }

    fn all(&self) -> Vec<(String, Vec<u8>)> {
        self.store.all_notes(self.table)
    }
}
