//! How fast this peer may be, by its own file and by the manager's word.
//!
//! **Invariant:** where both say something, the lower holds: the manager's word never lifts what the node's owner set.

use std::collections::{BTreeMap, BTreeSet};

use oci::RegistryName;
use uuid::Uuid;
use wire::{Neighbourhood, Rate};

/// None: as fast as it goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LimitSettings {
    /// From registries and other peers.
    pub incoming: Option<Rate>,
    /// To other peers.
    pub outgoing: Option<Rate>,
    /// From one registry.
    pub origins: BTreeMap<RegistryName, Rate>,
}

impl LimitSettings {
    /// What the manager says to this peer: of each peer, of this one's share of what the cluster may take, and of each
    /// registry.
    pub(super) fn told(me: Uuid, told: &Neighbourhood) -> Self {
        let is_seed = told.seeds.iter().any(|seed| seed.peer == me);
        let shares = told.limits.origins.iter().map(|share| {
            let rate = if is_seed { share.each_seed } else { share.each_node };
            (&share.registry, rate)
        });
        let described = told.registries.iter();
        let described = described.filter_map(|registry| Some((&registry.name, registry.bandwidth?)));
        let mut origins: BTreeMap<RegistryName, Rate> = BTreeMap::new();
        for (registry, rate) in shares.chain(described) {
            // A name that is none names nothing that could be asked.
            if let Ok(registry) = registry.parse() {
                origins
                    .entry(registry)
                    .and_modify(|known| *known = rate.min(*known))
                    .or_insert(rate);
            }
        }
        Self {
            incoming: told.limits.peer_incoming,
            outgoing: told.limits.peer_outgoing,
            origins,
        }
    }

    /// What holds when both have been said.
    #[must_use]
    pub(super) fn and(&self, other: &Self) -> Self {
        let named: BTreeSet<&RegistryName> = self.origins.keys().chain(other.origins.keys()).collect();
        let origin =
            |name: &RegistryName| lower(self.origins.get(name).copied(), other.origins.get(name).copied());
        Self {
            incoming: lower(self.incoming, other.incoming),
            outgoing: lower(self.outgoing, other.outgoing),
            origins: named
                .into_iter()
                .filter_map(|name| Some((name.clone(), origin(name)?)))
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
    fn a_seed_has_another_share_than_a_node_and_the_lower_of_share_and_registry_holds() {
        let (seed, node) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let described = |name: &str, rate| RegistryDescription {
            name: name.to_owned(),
            bandwidth: Some(Rate::at_least(rate)),
            ..RegistryDescription::default()
        };
        let told = Neighbourhood {
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
        assert_eq!(LimitSettings::told(seed, &told), expected(150_000));
        assert_eq!(LimitSettings::told(node, &told), expected(100_000));
    }

    fn settings(incoming: Option<u64>, origins: &[(&str, u64)]) -> LimitSettings {
        let origin = |(name, rate): &(&str, u64)| (name.parse().expect("a name"), Rate::at_least(*rate));
        LimitSettings {
            incoming: incoming.map(Rate::at_least),
            outgoing: None,
            origins: origins.iter().map(origin).collect(),
        }
    }

    #[test]
    fn the_lower_one_holds() {
        let own = settings(Some(200_000), &[("a.lan", 100_000), ("b.lan", 300_000)]);
        let told = settings(Some(100_000), &[("b.lan", 400_000), ("c.lan", 500_000)]);
        let both = settings(
            Some(100_000),
            &[("a.lan", 100_000), ("b.lan", 300_000), ("c.lan", 500_000)],
        );
        assert_eq!(own.and(&told), both);
        assert_eq!(told.and(&own), both);
        assert_eq!(own.and(&LimitSettings::default()), own);
    }
}
