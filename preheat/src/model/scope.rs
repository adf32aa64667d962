//! The scope of a preheat, in the words of Harbor, and its clusters.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The peers of a cluster that have to hold the objects.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Each object on one seed of each cluster.
    #[default]
    SingleSeedPeer,
    /// Each object on every seed.
    AllSeedPeers,
    /// Each object on every seed and node that has a live session when the preheat is planned.
    AllPeers,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a scope; write single_seed_peer, all_seed_peers or all_peers")]
pub struct BadScope(String);

impl Scope {
    /// Reads a stored word. Unlike a request's, it has no other spelling.
    pub(crate) fn of(word: &str) -> Option<Self> {
        [Self::SingleSeedPeer, Self::AllSeedPeers, Self::AllPeers]
            .into_iter()
            .find(|scope| scope.to_string() == word)
    }
}

impl FromStr for Scope {
    type Err = BadScope;

    fn from_str(text: &str) -> Result<Self, BadScope> {
        match text {
            "" | "single_seed_peer" | "single_peer" => Ok(Self::SingleSeedPeer),
            "all_seed_peers" => Ok(Self::AllSeedPeers),
            "all_peers" => Ok(Self::AllPeers),
            other => Err(BadScope(other.chars().take(40).collect())),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::SingleSeedPeer => "single_seed_peer",
            Self::AllSeedPeers => "all_seed_peers",
            Self::AllPeers => "all_peers",
        })
    }
}

/// The clusters of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClusterChoice {
    /// Every cluster that has a live seed.
    #[default]
    All,
    Ids(Vec<i64>),
    Names(Vec<String>),
}

impl ClusterChoice {
    pub(crate) fn means(&self, id: i64, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Ids(ids) => ids.contains(&id),
            Self::Names(names) => names.iter().any(|wanted| wanted == name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scopes_of_harbor_are_read() {
        for word in ["", "single_seed_peer", "single_peer"] {
            assert_eq!(word.parse(), Ok(Scope::SingleSeedPeer));
        }
        for scope in [Scope::SingleSeedPeer, Scope::AllSeedPeers, Scope::AllPeers] {
            assert_eq!(scope.to_string().parse(), Ok(scope));
        }
        let refused = "everywhere".parse::<Scope>();
        assert_eq!(refused, Err(BadScope("everywhere".to_owned())));
    }
}
