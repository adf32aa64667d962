//! `[cluster."name"]`: what differs from cluster to cluster.

use std::collections::BTreeMap;

use preheat::{ClusterLimits, ClusterSettings};
use process::config::Faults;

use super::section::Section;

pub(super) fn read(top: &mut Section, faults: &mut Faults) -> BTreeMap<String, ClusterSettings> {
    let sections = top.named_tables("cluster", faults);
    sections
        .into_iter()
        .map(|(name, section)| (name, one(section, faults)))
        .collect()
}

fn one(mut section: Section, faults: &mut Faults) -> ClusterSettings {
    let settings = ClusterSettings {
        platforms: section.list("platforms", faults),
        tolerated_absent: section.count("tolerated_absent", faults).unwrap_or_default(),
        referrers: section.switch("referrers", faults).unwrap_or_default(),
        limits: limits(&mut section, faults),
    };
    section.end(faults);
    settings
}

/// `peer_incoming`, `peer_outgoing`, and `[cluster."name".origin."registry"] bandwidth`.
fn limits(section: &mut Section, faults: &mut Faults) -> ClusterLimits {
    let mut limits = ClusterLimits {
        peer_incoming: section.parsed("peer_incoming", faults),
        peer_outgoing: section.parsed("peer_outgoing", faults),
        origins: BTreeMap::new(),
    };
    for (registry, mut origin) in section.named_tables("origin", faults) {
        let name = faults.check(origin.full("").trim_end_matches('.'), registry.parse());
        let bandwidth = origin.parsed("bandwidth", faults);
        limits.origins.extend(name.zip(bandwidth));
        origin.end(faults);
    }
    limits
}
