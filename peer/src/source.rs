//! Where bytes come from: other peers' `share`, and the registry.
//!
//! **Invariant:** a source is only opened here, never believed: whoever reads from it checks what comes. Every
//! wait for a source is limited.

mod open;
mod share_client;

use std::sync::Arc;

use oci::Registries;
use wire::SecretText;

pub(crate) use open::{Opened, Origin, Pieces, SourceError};
pub use share_client::{ShareClient, ShareError};

use crate::neighbours::Neighbours;

/// What sources need to know of the surroundings.
pub trait Surroundings: Send + Sync {
    /// Opens other peers' `share`.
    fn peer_token(&self) -> Option<SecretText>;
    /// Checks other peers' tokens.
    fn share_key(&self) -> Option<[u8; 32]>;
    fn registries(&self) -> &Registries;
}

impl Surroundings for Neighbours {
    fn peer_token(&self) -> Option<SecretText> {
        Neighbours::peer_token(self)
    }

    fn share_key(&self) -> Option<[u8; 32]> {
        Neighbours::share_key(self)
    }

    fn registries(&self) -> &Registries {
        Neighbours::registries(self)
    }
}

/// Everything that an object can be fetched from.
#[derive(Clone)]
pub struct Sources {
    pub(crate) peers: ShareClient,
    pub(crate) around: Arc<dyn Surroundings>,
}

impl Sources {
    /// `http` is for calling other peers; clients for registries come with [`Surroundings::registries`].
    pub fn new(http: reqwest::Client, around: impl Surroundings + 'static) -> Self {
        let around: Arc<dyn Surroundings> = Arc::new(around);
        Self {
            peers: ShareClient::new(http, around.clone()),
            around,
        }
    }

    /// The client for other peers' `share`.
    pub fn peers(&self) -> &ShareClient {
        &self.peers
    }
}
