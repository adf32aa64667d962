//! Where bytes come from: other peers' `share`, and the registry.
//!
//! **Invariant:** a source is only opened here, never believed: whoever reads from it checks what comes. Every
//! wait for a source is limited.

mod call;
mod crowd;
mod permits;
mod share_client;
mod sources;
mod unreachable;

use std::sync::Arc;

pub(crate) use crowd::CrowdFeed;
pub use share_client::{ShareClient, ShareError};
pub(crate) use sources::{AtRegistry, Opened, Pieces, SourceError};

use crate::limits::Limits;
use crate::neighbours::Surroundings;

/// Host and port of a `share` URL: how a peer is named in spans, metrics and answers.
pub(crate) fn host_and_port(share_url: &str) -> &str {
    let rest = share_url.split_once("://").map_or(share_url, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or(rest)
}

/// Everything that an object can be fetched from.
#[derive(Clone)]
pub struct Sources {
    pub(crate) peers: ShareClient,
    pub(crate) around: Arc<dyn Surroundings>,
    pub(crate) limits: Limits,
}

impl Sources {
    /// `http` is for calling other peers; clients for registries come with [`Surroundings::registries`].
    pub fn new(http: reqwest::Client, around: impl Surroundings + 'static, limits: Limits) -> Self {
        let around: Arc<dyn Surroundings> = Arc::new(around);
        Self {
            peers: ShareClient::new(http, around.clone()),
            around,
            limits,
        }
    }

    /// Seeds, which are sent callers' credentials, are called by this client.
    #[must_use]
    pub fn calling_seeds_by(self, http: reqwest::Client) -> Self {
        let peers = self.peers.calling_seeds_by(http);
        Self { peers, ..self }
    }

    /// The client for other peers' `share`.
    pub fn peers(&self) -> &ShareClient {
        &self.peers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_named_by_host_and_port() {
        assert_eq!(host_and_port("http://10.0.0.7:65002"), "10.0.0.7:65002");
        assert_eq!(host_and_port("https://seed.lan:1/x?y#z"), "seed.lan:1");
        assert_eq!(host_and_port("seed.lan"), "seed.lan");
    }
}
