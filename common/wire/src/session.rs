//! A peer's life between two hellos. The session carries the lease of all that the peer has taken.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Neighbourhood, SecretText};

/// The audience of the tokens that open `share` and `relay` of other peers.
pub const SHARE_AUDIENCE: &str = "stoker-share";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Seed,
    Node,
}

/// What a peer says when it calls in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Hello {
    pub wire_version: u32,
    /// From the peer's data folder; made once, never changed.
    pub peer: Uuid,
    /// A label for people.
    pub name: String,
    pub cluster: String,
    pub role: Role,
    /// `host` or `host:port` that other peers reach `share` at; the address the manager sees unless given.
    pub advertise: Option<String>,
    pub share_port: u16,
    /// `https` when `share` has a certificate.
    pub share_scheme: String,
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
    /// Opens `share` of other peers; good for a day. Say hello again for a new one.
    pub peer_token: SecretText,
    pub peer_token_ends_unix: i64,
    /// Ed25519 public key, 32 bytes in base64: other peers' tokens are checked against it offline.
    pub share_public_key: String,
    pub neighbourhood: Neighbourhood,
    /// The manager's list of this peer's holdings differs: send the full one.
    pub send_full_holdings: bool,
}

/// The claims of a peer token (`EdDSA`).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PeerClaims {
    /// The peer's id.
    pub sub: Uuid,
    pub aud: String,
    /// Unix seconds.
    pub exp: i64,
    pub cluster: String,
}
