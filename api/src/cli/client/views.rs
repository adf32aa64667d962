//! The manager's answers, as much of them as the command line shows. Fields that are not read here may come and go.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wire::SecretText;

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct PreheatView {
    pub(crate) id: i64,
    pub(crate) image: String,
    pub(crate) scope: String,
    pub(crate) state: State,
    pub(crate) reason: Option<String>,
    pub(crate) side: Option<String>,
    pub(crate) digest: Option<String>,
    pub(crate) objects_total: u64,
    pub(crate) bytes_total: u64,
    pub(crate) bytes_done: u64,
    pub(crate) placements: Counts,
    pub(crate) created_at: String,
    pub(crate) finished_at: Option<String>,
    pub(crate) trace_id: Option<String>,
    pub(crate) trace_url: Option<String>,
    pub(crate) attempt: u64,
    pub(crate) follows: Option<i64>,
    pub(crate) notes: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    Waiting,
    Resolving,
    Placing,
    Succeeded,
    Failed,
    Cancelled,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Counts {
    pub(crate) total: u64,
    pub(crate) verified: u64,
    pub(crate) failed: u64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Preheats {
    pub(crate) preheats: Vec<PreheatView>,
    pub(crate) next_before: Option<i64>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Objects {
    pub(crate) objects: Vec<ObjectView>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ObjectView {
    pub(crate) digest: String,
    pub(crate) kind: String,
    pub(crate) size: u64,
    pub(crate) platform: Option<String>,
    pub(crate) placements: Vec<PlacementView>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct PlacementView {
    pub(crate) peer_name: String,
    pub(crate) state: String,
    pub(crate) bytes_done: u64,
    pub(crate) bytes_from_registry: u64,
    pub(crate) bytes_from_peers: u64,
    pub(crate) reason: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Clusters {
    pub(crate) clusters: Vec<ClusterView>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ClusterView {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) seeds: u64,
    pub(crate) nodes: u64,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Limits {
    pub(crate) peer_incoming: Option<String>,
    pub(crate) peer_outgoing: Option<String>,
    pub(crate) origins: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct LimitsOfCluster {
    pub(crate) cluster: String,
    pub(crate) limits: Limits,
    pub(crate) as_configured: bool,
    pub(crate) each_seed: BTreeMap<String, String>,
    pub(crate) each_node: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Peers {
    pub(crate) peers: Vec<PeerView>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct PeerView {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) cluster: String,
    pub(crate) role: String,
    pub(crate) share_url: String,
    pub(crate) alive: bool,
    pub(crate) holdings: u64,
    pub(crate) held_bytes: u64,
    #[serde(default)]
    pub(crate) warning: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Tokens {
    pub(crate) tokens: Vec<TokenView>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct TokenView {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) scopes: Vec<String>,
    pub(crate) expires_at: Option<String>,
    pub(crate) revoked_at: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct JoinTokens {
    pub(crate) join_tokens: Vec<JoinTokenView>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct JoinTokenView {
    pub(crate) id: String,
    pub(crate) scope: String,
    pub(crate) cluster: String,
    pub(crate) joined: u64,
    pub(crate) joins_left: Option<u64>,
    pub(crate) expires_at: String,
    pub(crate) revoked_at: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct MadeJoinToken {
    pub(crate) id: String,
    pub(crate) scope: String,
    pub(crate) cluster: String,
    pub(crate) expires_at: String,
    pub(crate) token: SecretText,
    pub(crate) peer_port: u16,
}

#[derive(Debug, Deserialize)]
pub(crate) struct RemovedPeer {
    pub(crate) revoked_token: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct MadeToken {
    pub(crate) id: String,
    pub(crate) expires_at: String,
    pub(crate) token: SecretText,
    /// Of a token that stands in a path: the URL, or only its path where the manager does not know its own URL.
    pub(crate) endpoint: Option<SecretText>,
}

impl State {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Resolving => "resolving",
            Self::Placing => "placing",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    pub(crate) fn has_ended(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

impl PreheatView {
    /// A link to its trace, or at least the name of it.
    pub(crate) fn trace(&self) -> Option<&str> {
        self.trace_url.as_deref().or(self.trace_id.as_deref())
    }

    /// Why it failed and on whose side, for people.
    pub(crate) fn why(&self) -> String {
        let reason = self.reason.as_deref().unwrap_or("no reason was given");
        match &self.side {
            Some(side) => format!("{reason} [side: {side}]"),
            None => reason.to_owned(),
        }
    }
}
