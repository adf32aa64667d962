//! `[cluster."name"]`: the settings of one cluster.

use std::collections::BTreeMap;

use oci::RegistryName;
use preheat::{ClusterLimits, ClusterSettings};
use settings::Section;
use wire::Rate;

pub(super) fn read(top: &Section<'_>) -> BTreeMap<String, ClusterSettings> {
    let sections = top.named_tables("cluster");
    sections
        .into_iter()
        .map(|(name, section)| (name, one(&section)))
        .collect()
}

fn one(section: &Section<'_>) -> ClusterSettings {
    let referrers = section.switch_or("referrers", false);
    section.default("tolerated_absent", 0);
    ClusterSettings {
        platforms: section.list("platforms"),
        tolerated_absent: section.count("tolerated_absent").unwrap_or_default(),
        referrers,
        limits: ClusterLimits {
            peer_incoming: section.unit("peer_incoming"),
            peer_outgoing: section.unit("peer_outgoing"),
            origins: budgets(section),
        },
    }
}

/// `[cluster."name".origin."registry"] bandwidth`
fn budgets(section: &Section<'_>) -> BTreeMap<RegistryName, Rate> {
    let mut budgets = BTreeMap::new();
    for (registry, origin) in section.named_tables("origin") {
        let name: Result<RegistryName, _> = registry.parse();
        let name = name.map_err(|fault| origin.fault_of_section(fault)).ok();
        budgets.extend(name.zip(origin.unit("bandwidth")));
    }
    budgets
}
