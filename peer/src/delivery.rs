//! Finds out whether a location delivers an object that this peer holds because of another location.
//!
//! A registry's yes says that a caller may read a digest there; it does not say that the digest's bytes are there. So
//! the bytes that came from one location are given to the callers of another one only once that one has shown a part
//! of them too.
//!
//! **Invariant:** an object counts as delivered at a location only after bytes from there were compared with those held
//! here, or hashed as a whole. One caller's bad credential or bad luck settles nothing for another caller.

mod proof;
mod ranges;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use http::StatusCode;
use oci::{Digest, Location, RegistryError};
use parking_lot::Mutex;
use store::{Sealed, Store};
use tokio::time::{Instant, timeout};
use tracing::{debug, info};
use wire::Side;

use crate::fetch::{FetchError, Fetches, Found, Object, Wanted};
use crate::source::{ShareError, Sources};

/// One proof, waiting for another one of the same pair included.
const LIMIT: Duration = Duration::from_secs(50);
/// A location that showed other bytes is not asked again for as long as this.
const DIFFERENT_FOR: Duration = Duration::from_secs(3_600);
const REMEMBERED: usize = 10_000;

type Pair = (Location, Digest);

/// Finds out what locations deliver. Clones share what they know.
#[derive(Clone)]
pub(crate) struct Delivery(Arc<Inner>);

struct Inner {
    store: Store,
    sources: Sources,
    /// Chooses the ranges, so that asking again asks for the same ones.
    key: hmac::Key,
    different: Mutex<HashMap<Pair, Instant>>,
    /// One proof of a pair at a time.
    turns: Mutex<HashMap<Pair, Arc<tokio::sync::Mutex<()>>>>,
}

/// Why an object does not count as delivered.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum NotDelivered {
    #[error("{location} has other bytes under {}: push the image again", .digest.short())]
    Different { location: Location, digest: Digest },
    #[error("{error}; {}", .error.what_to_do())]
    Registry { error: RegistryError },
    #[error("the seed that compares the bytes refuses: {0}")]
    Denied(String),
    #[error("{location} did not show its bytes within {} s", LIMIT.as_secs())]
    TooSlow { location: Location },
    #[error("the disk of this peer does not give the object: {0}")]
    Disk(String),
}

impl From<RegistryError> for NotDelivered {
    fn from(error: RegistryError) -> Self {
        Self::Registry { error }
    }
}

/// Why an object cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotOpened {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    NotDelivered(#[from] NotDelivered),
}

impl NotDelivered {
    pub(crate) fn side(&self) -> Side {
        match self {
            Self::Different { .. } => Side::Registry,
            Self::Registry { error } => match error.side() {
                oci::Side::Caller => Side::Caller,
                oci::Side::Registry => Side::Registry,
                oci::Side::Network => Side::Network,
            },
            Self::Denied(_) => Side::Caller,
            Self::TooSlow { .. } => Side::Network,
            Self::Disk(_) => Side::Peer,
        }
    }

    /// The same in one of a few words.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Different { .. } => "not_delivered",
            Self::Registry { error } => error.error_type(),
            Self::Denied(_) => "denied",
            Self::TooSlow { .. } => "timeout",
            Self::Disk(_) => "disk",
        }
    }
}

impl Delivery {
    /// `secret` is this peer's own: nobody else can tell which ranges will be compared.
    pub(crate) fn new(store: Store, sources: Sources, secret: &[u8; 32]) -> Self {
        let inner = Inner {
            store,
            sources,
            key: hmac::Key::new(hmac::HMAC_SHA256, secret),
            different: Mutex::default(),
            turns: Mutex::default(),
        };
        Self(Arc::new(inner))
    }

    /// The object, readable for callers of the wanted location: whole and delivered there, or on its way from there.
    pub(crate) async fn open(&self, fetches: &Fetches, wanted: Wanted) -> Result<(Object, Found), NotOpened> {
        if let Some(held) = self.0.store.sealed(&wanted.digest) {
            self.ensure(&held, &wanted).await?;
            return Ok((Object::Here(held), Found::Here));
        }
        let following = fetches.join_or_start(wanted.clone());
        if following.reads_here() {
            let size = following.size().await?;
            let found = following.found();
            return Ok((Object::Coming(following, size), found));
        }
        // It comes from elsewhere: nothing of it may be read here before it is whole and compared.
        let sealing = timeout(LIMIT, following.sealed()).await;
        sealing.map_err(|_| too_slow(&wanted))??;
        let held = self.0.store.sealed(&wanted.digest);
        let held = held.ok_or_else(|| NotDelivered::Disk("it was removed".to_owned()))?;
        self.ensure(&held, &wanted).await?;
        Ok((Object::Here(held), Found::Joined))
    }

    /// Returns once the location is known to deliver the object: by what is recorded, by a seed's word, or by a proof.
    pub(crate) async fn ensure(&self, held: &Sealed, wanted: &Wanted) -> Result<(), NotDelivered> {
        if self.0.store.has_delivered(&held.digest, &wanted.location) {
            return Ok(());
        }
        for seed in &wanted.relays {
            match self.ask_seed(seed, held, wanted).await {
                Ok(()) => {
                    self.0.store.record_delivered(&held.digest, &wanted.location);
                    return Ok(());
                }
                Err(ShareError::Denied(words)) => return Err(NotDelivered::Denied(words)),
                Err(ShareError::Answered(StatusCode::CONFLICT)) => return Err(different(wanted)),
                Err(error) => {
                    debug!(stoker.digest = %held.digest, because = %error, "seed does not compare the bytes");
                }
            }
        }
        self.prove(held, wanted).await
    }

    /// Returns once this peer itself has compared the object with the location's bytes, now or before.
    pub(crate) async fn prove(&self, held: &Sealed, wanted: &Wanted) -> Result<(), NotDelivered> {
        let proving = async {
            let turn = self.turn(&wanted.location, &held.digest);
            let _turn = turn.lock().await;
            self.prove_alone(held, wanted).await
        };
        let proven = timeout(LIMIT, proving).await;
        proven.unwrap_or_else(|_| Err(too_slow(wanted)))
    }

    async fn ask_seed(&self, seed: &str, held: &Sealed, wanted: &Wanted) -> Result<(), ShareError> {
        let at = wanted.at_registry();
        self.0
            .sources
            .peers
            .delivery(seed, &at, wanted.kind, &held.digest)
            .await
    }

    async fn prove_alone(&self, held: &Sealed, wanted: &Wanted) -> Result<(), NotDelivered> {
        let (location, digest) = (&wanted.location, &held.digest);
        if self.0.store.has_delivered(digest, location) {
            return Ok(());
        }
        if self.is_different(location, digest) {
            return Err(different(wanted));
        }
        let registry = self.0.sources.around.registries().registry(&location.origin)?;
        let ranges = ranges::chosen(&self.0.key, location, digest, held.size);
        if proof::is_delivered(&registry, held, wanted, &ranges).await? {
            info!(stoker.digest = %digest, stoker.registry = %location.registry(), "location delivers what is held here");
            self.0.store.record_delivered(digest, location);
            return Ok(());
        }
        self.note_different(location, digest);
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

    fn is_different(&self, location: &Location, digest: &Digest) -> bool {
        let different = self.0.different.lock();
        let until = different.get(&(location.clone(), digest.clone()));
        until.is_some_and(|until| Instant::now() < *until)
    }

    fn note_different(&self, location: &Location, digest: &Digest) {
        let mut different = self.0.different.lock();
        if different.len() >= REMEMBERED {
            different.retain(|_, until| Instant::now() < *until);
        }
        if different.len() < REMEMBERED {
            let until = Instant::now() + DIFFERENT_FOR;
            different.insert((location.clone(), digest.clone()), until);
        }
    }
}

fn different(wanted: &Wanted) -> NotDelivered {
    NotDelivered::Different {
        location: wanted.location.clone(),
        digest: wanted.digest.clone(),
    }
}

fn too_slow(wanted: &Wanted) -> NotDelivered {
    NotDelivered::TooSlow {
        location: wanted.location.clone(),
    }
}
