//! The bandwidth limits of this peer, by its own file and by the manager.
//!
//! **Invariant:** of two limits the lower counts: the manager never lifts a limit of the node's owner.

use std::collections::{BTreeMap, BTreeSet};

use oci::RegistryName;
use uuid::Uuid;
use wire::{Neighbourhood, Rate};

/// `None`: no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LimitSettings {
    /// From registries and other peers.
    pub incoming: Option<Rate>,
    /// To other peers.
    pub outgoing: Option<Rate>,
    /// From one registry.
    pub registries: BTreeMap<RegistryName, Rate>,
}

impl LimitSettings {
    /// The manager's limits for this peer: the one for each peer, this peer's share of the cluster's budgets,
    /// and the one of each registry.
    pub(super) fn of_peer(me: Uuid, neighbourhood: &Neighbourhood) -> Self {
        let is_seed = neighbourhood.seeds.iter().any(|seed| seed.peer == me);
        let shares = neighbourhood.limits.origins.iter().map(|share| {
            let rate = if is_seed { share.each_seed } else { share.each_node };
            (&share.registry, rate)
        });
        let described = neighbourhood.registries.iter();
        let described = described.filter_map(|registry| Some((&registry.name, registry.bandwidth?)));
        let mut registries: BTreeMap<RegistryName, Rate> = BTreeMap::new();
        for (registry, rate) in shares.chain(described) {
            // An invalid name is no registry that could be asked.
            if let Ok(registry) = registry.parse() {
                registries
                    .entry(registry)
                    .and_modify(|known| *known = rate.min(*known))
                    .or_insert(rate);
            }
        }
        Self {
            incoming: neighbourhood.limits.peer_incoming,
            outgoing: neighbourhood.limits.peer_outgoing,
            registries,
        }
    }

    /// Whether reads from this registry may be slow on purpose.
    pub(crate) fn slow_down(&self, registry: &RegistryName) -> bool {
        self.incoming.is_some() || self.registries.contains_key(registry)
    }

    /// The lower of both, limit by limit.
    #[must_use]
    pub(super) fn lower_of(&self, other: &Self) -> Self {
        let named: BTreeSet<&RegistryName> = self.registries.keys().chain(other.registries.keys()).collect();
        let rate_of = |name: &RegistryName| {
            lower(
                self.registries.get(name).copied(),
                other.registries.get(name).copied(),
            )
        };
        Self {
            incoming: lower(self.incoming, other.incoming),
            outgoing: lower(self.outgoing, other.outgoing),
            registries: named
                .into_iter()
                .filter_map(|name| Some((name.clone(), rate_of(name)?)))
                .collect(),
        }
    }
}

fn lower(one: Option<Rate>, other: Option<Rate>) -> Option<Rate> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use wire::{BandwidthLimits, RegistryDescription, RegistryShare, SeedAddress};

    use super::*;

    #[test]
    fn seeds_and_nodes_have_different_shares_and_the_lower_limit_counts() {
        let (seed, node) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let described = |name: &str, rate| RegistryDescription {
            name: name.to_owned(),
            bandwidth: Some(Rate::at_least(rate)),
            ..RegistryDescription::default()
        };
        let neighbourhood = Neighbourhood {
            seeds: vec![SeedAddress {
                peer: seed,
                name: "seed".to_owned(),
                share_url: "http://10.0.0.1:65002".to_owned(),
            }],
            registries: vec![
                described("a.lan", 150_000),
                described("b.lan", 500_000),
                described("no name", 1),
            ],
            limits: BandwidthLimits {
                peer_incoming: Some(Rate::at_least(900_000)),
                peer_outgoing: None,
                origins: vec![RegistryShare {
                    registry: "a.lan".to_owned(),
                    each_seed: Rate::at_least(200_000),
                    each_node: Rate::at_least(100_000),
                }],
            },
            ..Neighbourhood::default()
        };
        let expected = |a| settings(Some(900_000), &[("a.lan", a), ("b.lan", 500_000)]);
        assert_eq!(LimitSettings::of_peer(seed, &neighbourhood), expected(150_000));
        assert_eq!(LimitSettings::of_peer(node, &neighbourhood), expected(100_000));
    }

    fn settings(incoming: Option<u64>, registries: &[(&str, u64)]) -> LimitSettings {
        let rate_of = |(name, rate): &(&str, u64)| (name.parse().expect("a name"), Rate::at_least(*rate));
        LimitSettings {
            incoming: incoming.map(Rate::at_least),
            outgoing: None,
            registries: registries.iter().map(rate_of).collect(),
        }
    }

    #[test]
    fn the_lower_limit_counts() {
        let own = settings(Some(200_000), &[("a.lan", 100_000), ("b.lan", 300_000)]);
        let from_manager = settings(Some(100_000), &[("b.lan", 400_000), ("c.lan", 500_000)]);
        let both = settings(
            Some(100_000),
            &[("a.lan", 100_000), ("b.lan", 300_000), ("c.lan", 500_000)],
        );
        assert_eq!(own.lower_of(&from_manager), both);
        assert_eq!(from_manager.lower_of(&own), both);
        assert_eq!(own.lower_of(&LimitSettings::default()), own);
    }
}
