//! A peer's life between two hellos. The session carries the lease of all that the peer has taken.

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

/// What a peer says when it registers. Its uuid, cluster and role are those of its certificate.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Hello {
    pub wire_version: u32,
    /// A label for people.
    pub name: String,
    /// `host` or `host:port` that other peers reach `share` at; the address the manager sees unless given.
    pub advertise: Option<String>,
    pub share_port: u16,
    /// Program and version, for people.
    pub software: String,
    /// [`crate::holdings_hash`] over what the peer holds.
    pub holdings_hash: String,
}

/// What the manager answers to a hello.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Welcome {
    pub wire_version: u32,
    pub session: Uuid,
    pub cluster_id: i64,
    /// The session ends unless a call comes within this many milliseconds.
    pub lease_ms: u64,
    pub neighbourhood: Neighbourhood,
    /// The manager's list of this peer's holdings differs: send the full one.
    pub send_full_holdings: bool,
    pub removals: Signed<RemovalList>,
}
