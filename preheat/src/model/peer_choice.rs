//! Which of the peers that a scope names have to hold an image.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::scope::Scope;

/// Narrows `all_seed_peers` and `all_peers`, cluster by cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PeerChoice {
    #[default]
    All,
    /// This number of peers of each cluster; all, if it has fewer.
    Count(u32),
    /// Of each cluster's peers, rounded up; from 1 to 100.
    Percent(u8),
    /// Those that register from these addresses.
    Addresses(Vec<IpAddr>),
}

/// The number of addresses that one request may name.
const MOST_ADDRESSES: usize = 1_000;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPeers {
    #[error(
        "single_seed_peer places each object on one seed and cannot be narrowed: leave the choice of peers out, or \
         write all_seed_peers or all_peers"
    )]
    Single,
    #[error("a count of 0 chooses no peer: write a count from 1")]
    NoCount,
    #[error("{0} is not a percentage of peers: write a number from 1 to 100")]
    Percent(u8),
    #[error("the request names {0} addresses of peers: name 1 to {MOST_ADDRESSES}")]
    Addresses(usize),
}

impl PeerChoice {
    /// Returns an error if the choice is invalid, or does not fit the scope.
    pub(crate) fn check(&self, scope: Scope) -> Result<(), BadPeers> {
        match self {
            Self::All => Ok(()),
            _ if scope == Scope::SingleSeedPeer => Err(BadPeers::Single),
            Self::Count(0) => Err(BadPeers::NoCount),
            Self::Percent(percent) if !(1..=100).contains(percent) => Err(BadPeers::Percent(*percent)),
            Self::Addresses(addresses) if !(1..=MOST_ADDRESSES).contains(&addresses.len()) => {
                Err(BadPeers::Addresses(addresses.len()))
            }
            Self::Count(_) | Self::Percent(_) | Self::Addresses(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_that_means_nothing_is_refused() {
        let check = |choice: PeerChoice, scope| choice.check(scope);
        let one = || PeerChoice::Addresses(vec!["10.0.0.1".parse().unwrap()]);
        assert_eq!(check(PeerChoice::All, Scope::SingleSeedPeer), Ok(()));
        for narrowed in [PeerChoice::Count(1), PeerChoice::Percent(100), one()] {
            assert_eq!(
                check(narrowed.clone(), Scope::SingleSeedPeer),
                Err(BadPeers::Single)
            );
            assert_eq!(check(narrowed, Scope::AllPeers), Ok(()));
        }
        assert_eq!(
            check(PeerChoice::Count(0), Scope::AllPeers),
            Err(BadPeers::NoCount)
        );
        for percent in [0, 101] {
            let refused = check(PeerChoice::Percent(percent), Scope::AllPeers);
            assert_eq!(refused, Err(BadPeers::Percent(percent)));
        }
        let nobody = check(PeerChoice::Addresses(Vec::new()), Scope::AllPeers);
        assert_eq!(nobody, Err(BadPeers::Addresses(0)));
    }
}
