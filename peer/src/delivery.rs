//! Proves that a location delivers an object that this peer holds because of another location.
//!
//! A grant says that a caller may read a digest at a location. It does not say that the location has the digest's bytes.
//! So callers of a location get bytes that came from another one only after their own location has sent a part of them.
//!
//! **Invariant:** an object counts as delivered at a location only after bytes from there were compared with the object
//! held here, or hashed as a whole. One caller's failure decides nothing for another caller.

mod error;
mod proof;
mod ranges;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use http::StatusCode;
use oci::{Digest, Location};
use parking_lot::Mutex;
use store::{Sealed, Store};
use tokio::time::{Instant, timeout};
use tracing::{debug, info};

use crate::expiring_map::ExpiringMap;
use crate::fetch::{FetchSpec, FetchStart, Fetches, ReadableObject};
use crate::source::{ShareError, Sources};
use error::LIMIT;
pub(crate) use error::{DeliveryError, OpenError};

/// How long a location that sent other bytes is not asked again.
const DIFFERENT_FOR: Duration = Duration::from_secs(3_600);
const REMEMBERED: usize = 10_000;

type Pair = (Location, Digest);

/// Clones share one state.
#[derive(Clone)]
pub(crate) struct Delivery(Arc<DeliveryState>);

struct DeliveryState {
    store: Store,
    sources: Sources,
    /// Chooses the ranges that are compared: always the same ones for one pair.
    key: hmac::Key,
    different: ExpiringMap<Pair, ()>,
    /// One proof of a pair at a time.
    turns: Mutex<HashMap<Pair, Arc<tokio::sync::Mutex<()>>>>,
}

impl Delivery {
    /// `secret` is this peer's own, so that no other party can predict which ranges are compared.
    pub(crate) fn new(store: Store, sources: Sources, secret: &[u8; 32]) -> Self {
        let inner = DeliveryState {
            store,
            sources,
            key: hmac::Key::new(hmac::HMAC_SHA256, secret),
            different: ExpiringMap::new(REMEMBERED),
            turns: Mutex::default(),
        };
        Self(Arc::new(inner))
    }

    /// Opens the object for callers of the wanted location: sealed and delivered there, or being fetched from there.
    pub(crate) async fn open(
        &self,
        fetches: &Fetches,
        wanted: FetchSpec,
    ) -> Result<(ReadableObject, FetchStart), OpenError> {
        if let Some(held) = self.0.store.sealed(&wanted.digest) {
            self.ensure(&held, &wanted).await?;
            return Ok((ReadableObject::Sealed(held), FetchStart::Held));
        }
        let following = fetches.join_or_start(wanted.clone());
        if following.reads_here() {
            let size = following.size().await?;
            let found = following.found();
            return Ok((ReadableObject::Fetching(following, size), found));
        }
        // It is fetched from another location: no byte may be read here before it is sealed and compared.
        let sealing = timeout(LIMIT, following.sealed()).await;
        sealing.map_err(|_| too_slow(&wanted))??;
        let held = self.0.store.sealed(&wanted.digest);
        let held = held
            .ok_or_else(|| DeliveryError::Disk("the object was removed while it was fetched".to_owned()))?;
        self.ensure(&held, &wanted).await?;
        Ok((ReadableObject::Sealed(held), FetchStart::Joined))
    }

    /// Returns once the location is known to deliver the object: from a record, from a seed, or by a proof.
    pub(crate) async fn ensure(&self, held: &Sealed, wanted: &FetchSpec) -> Result<(), DeliveryError> {
        if self.0.store.has_delivered(&held.digest, &wanted.location) {
            return Ok(());
        }
        for seed in &wanted.relays {
            match self.ask_seed(seed, held, wanted).await {
                Ok(()) => {
                    self.0.store.record_delivered(&held.digest, &wanted.location);
                    return Ok(());
                }
                Err(ShareError::Denied(reason)) => return Err(DeliveryError::Denied(reason)),
                Err(ShareError::UnexpectedStatus(StatusCode::CONFLICT)) => return Err(different(wanted)),
                Err(error) => {
                    debug!(stoker.digest = %held.digest, because = %error, "seed did not compare the bytes");
                }
            }
        }
        self.prove(held, wanted).await
    }

    /// Returns once this peer has compared the object with the location's bytes, now or before.
    pub(crate) async fn prove(&self, held: &Sealed, wanted: &FetchSpec) -> Result<(), DeliveryError> {
        let proving = async {
            let turn = self.turn(&wanted.location, &held.digest);
            let _turn = turn.lock().await;
            self.prove_alone(held, wanted).await
        };
        let proven = timeout(LIMIT, proving).await;
        proven.unwrap_or_else(|_| Err(too_slow(wanted)))
    }

    async fn ask_seed(&self, seed: &str, held: &Sealed, wanted: &FetchSpec) -> Result<(), ShareError> {
        let at = wanted.registry_source();
        self.0
            .sources
            .peers
            .delivery(seed, &at, wanted.kind, &held.digest)
            .await
    }

    async fn prove_alone(&self, held: &Sealed, wanted: &FetchSpec) -> Result<(), DeliveryError> {
        let (location, digest) = (&wanted.location, &held.digest);
        let pair = (location.clone(), digest.clone());
        if self.0.store.has_delivered(digest, location) {
            return Ok(());
        }
        if self.0.different.contains(&pair, Instant::now()) {
            return Err(different(wanted));
        }
        let registry = self.0.sources.around.registries().registry(&location.origin)?;
        let ranges = ranges::chosen(&self.0.key, location, digest, held.size);
        if proof::is_delivered(&registry, held, wanted, &ranges).await? {
            info!(stoker.digest = %digest, stoker.registry = %location.registry(), "location delivers the held object");
            self.0.store.record_delivered(digest, location);
            return Ok(());
        }
        let now = Instant::now();
        self.0.different.insert(pair, (), now + DIFFERENT_FOR, now);
        Err(different(wanted))
    }

    fn turn(&self, location: &Location, digest: &Digest) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.0.turns.lock();
        if turns.len() >= REMEMBERED {
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        }
        turns
            .entry((location.clone(), digest.clone()))
            .or_default()
            .clone()
    }
}

fn different(wanted: &FetchSpec) -> DeliveryError {
    DeliveryError::Different {
        location: wanted.location.clone(),
        digest: wanted.digest.clone(),
    }
}

fn too_slow(wanted: &FetchSpec) -> DeliveryError {
    DeliveryError::TooSlow {
        location: wanted.location.clone(),
    }
}
