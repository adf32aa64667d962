//! `[cluster."name"]`: what differs from cluster to cluster.

use std::collections::BTreeMap;

use preheat::ClusterSettings;
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
    };
    section.end(faults);
    settings
}
