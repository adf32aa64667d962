//! Why an object is not delivered at a location, or cannot be opened.

use std::time::Duration;

use oci::{Digest, Location, RegistryError};
use wire::Side;

use crate::fetch::FetchError;

/// For one proof, including the wait for another proof of the same pair.
pub(super) const LIMIT: Duration = Duration::from_secs(50);

/// Why an object does not count as delivered.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum DeliveryError {
    #[error("{location} has other bytes for {}: push the image again", .digest.short())]
    Different { location: Location, digest: Digest },
    #[error("{error}; {}", .error.what_to_do())]
    Registry { error: RegistryError },
    #[error("the seed that compares the bytes refused: {0}")]
    Denied(String),
    #[error("{location} did not send its bytes within {} s: pull again", LIMIT.as_secs())]
    TooSlow { location: Location },
    #[error("the disk of this peer failed to read the object: {0}")]
    Disk(String),
}

impl From<RegistryError> for DeliveryError {
    fn from(error: RegistryError) -> Self {
        Self::Registry { error }
    }
}

/// Why an object cannot be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    NotDelivered(#[from] DeliveryError),
}

impl DeliveryError {
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

    /// Returns the failure as one word, for labels and spans.
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
