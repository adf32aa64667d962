//! A peer's session: from one hello to the next. It carries the lease of all its lots.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Neighbourhood, RemovalList, Signed};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Seed,
    Node,
}

impl Role {
    pub fn word(self) -> &'static str {
        match self {
            Self::Seed => "seed",
            Self::Node => "node",
        }
    }

    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Seed, Self::Node]
            .into_iter()
            .find(|role| role.word() == word)
    }
}

/// The request that registers a peer. Uuid, cluster and role are in its certificate.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Hello {
    pub wire_version: u32,
    /// A label for people.
    pub name: String,
    /// `host` or `host:port` of `share` for other peers; by default the address that the manager sees.
    pub advertise: Option<String>,
    pub share_port: u16,
    /// Program and version, for people.
    pub software: String,
    /// [`crate::holdings_hash`] over what the peer holds.
    pub holdings_hash: String,
}

/// The response to a hello.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Welcome {
    pub wire_version: u32,
    pub session: Uuid,
    pub cluster_id: i64,
    /// The session ends after this many milliseconds without a call.
    pub lease_ms: u64,
    pub neighbourhood: Neighbourhood,
    /// Whether the manager's list of holdings differs, so that the peer must send the full one.
    pub send_full_holdings: bool,
    pub removals: Signed<RemovalList>,
}
