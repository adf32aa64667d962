//! Peers: those that have registered, and those that were removed.

use preheat::PeerView;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::timestamp::Timestamp;
use super::words::role_word;

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Peers {
    pub peers: Vec<PeerBody>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PeerBody {
    pub id: Uuid,
    #[schema(example = "seed-1")]
    pub name: String,
    #[schema(example = "default")]
    pub cluster: String,
    pub cluster_id: i64,
    /// `seed` or `node`.
    #[schema(example = "seed")]
    pub role: String,
    /// URL at which other peers reach it.
    #[schema(example = "https://10.0.0.7:65002")]
    pub share_url: String,
    /// Whether it has a valid session.
    pub alive: bool,
    #[schema(value_type = String, format = DateTime)]
    pub last_seen_at: Timestamp,
    pub software: String,
    /// Number of objects that it holds.
    pub holdings: u64,
    pub held_bytes: u64,
    /// Result of a spot check in the last day that did not remove the peer.
    pub warning: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RemovedPeer {
    pub id: Uuid,
    /// Id of the join token that was revoked.
    pub revoked_token: Option<String>,
}

impl From<PeerView> for PeerBody {
    fn from(view: PeerView) -> Self {
        Self {
            id: view.id,
            name: view.name,
            cluster: view.cluster,
            cluster_id: view.cluster_id,
            role: role_word(view.role),
            share_url: view.share_url,
            alive: view.alive,
            last_seen_at: Timestamp::from_ms(view.last_seen_ms),
            software: view.software,
            holdings: view.holdings,
            held_bytes: view.held_bytes,
            warning: view.warning,
        }
    }
}
