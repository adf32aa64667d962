//! How fast this peer may be, by its own file and by the manager's word.
//!
//! **Invariant:** where both say something, the lower holds: the manager's word never lifts what the node's owner set.

use std::collections::{BTreeMap, BTreeSet};

use oci::RegistryName;
use wire::Rate;

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
    use super::*;

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
