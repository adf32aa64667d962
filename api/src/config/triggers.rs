//! `[[trigger]]`: what is preheated when a registry tells of a push. The first one that matches is followed.

use std::net::IpAddr;

use api::triggers::{Glob, Rule, Rules, Wish};
use preheat::{ClusterChoice, PeerChoice, Scope};
use process::config::Faults;

use super::section::Section;

pub(super) fn read(top: &mut Section, faults: &mut Faults) -> Rules {
    let sections = top.tables("trigger", faults);
    Rules::new(
        sections
            .into_iter()
            .filter_map(|section| one(section, faults))
            .collect(),
    )
}

fn one(mut section: Section, faults: &mut Faults) -> Option<Rule> {
    let registry = registry(&mut section, faults);
    let repository = section.parsed("repository", faults);
    let tag = section.parsed("tag", faults);
    let scope: Scope = section.parsed("scope", faults).unwrap_or_default();
    let peers = peers(&mut section, scope, faults);
    let clusters: Vec<String> = section.list("clusters", faults);
    let rule = registry.zip(everything()).map(|(registry, everything)| Rule {
        registry,
        repository: repository.unwrap_or_else(|| everything.clone()),
        tag: tag.unwrap_or(everything),
        wish: Wish {
            scope,
            peers,
            clusters: if clusters.is_empty() {
                ClusterChoice::All
            } else {
                ClusterChoice::Names(clusters)
            },
            platforms: section.list("platforms", faults),
            referrers: section.switch("referrers", faults),
            priority: section.parsed("priority", faults).unwrap_or_default(),
        },
    });
    section.end(faults);
    rule
}

/// Every rule says whose pushes it means.
fn registry(section: &mut Section, faults: &mut Faults) -> Option<Glob> {
    let path = section.full("registry");
    let Some(text) = section.text("registry", faults) else {
        faults.add(
            &path,
            "is needed, as text: the registry whose pushes are meant, for example \"harbor.example.com\"",
        );
        return None;
    };
    faults.check(&path, text.parse())
}

fn everything() -> Option<Glob> {
    "**".parse().ok()
}

/// `count`, `percent` or `addresses`: one of them, and only where the scope names more than one peer.
fn peers(section: &mut Section, scope: Scope, faults: &mut Faults) -> PeerChoice {
    let count = section.count("count", faults).map(PeerChoice::Count);
    let percent = section.count("percent", faults);
    let addresses: Vec<IpAddr> = section.list("addresses", faults);
    if count == Some(PeerChoice::Count(0)) {
        faults.add(&section.full("count"), "must be 1 or more");
    }
    let percent = percent.and_then(|percent| {
        let good = u8::try_from(percent)
            .ok()
            .filter(|percent| (1..=100).contains(percent));
        if good.is_none() {
            faults.add(&section.full("percent"), "must be from 1 to 100");
        }
        good.map(PeerChoice::Percent)
    });
    let addresses = (!addresses.is_empty()).then_some(PeerChoice::Addresses(addresses));
    let mut given: Vec<PeerChoice> = [count, percent, addresses].into_iter().flatten().collect();
    if given.len() > 1 {
        faults.add(
            &section.full("count"),
            "only one of count, percent and addresses can be given",
        );
    }
    if !given.is_empty() && scope == Scope::SingleSeedPeer {
        faults.add(
            &section.full("scope"),
            "count, percent and addresses narrow \"all_seed_peers\" or \"all_peers\": write one of these",
        );
    }
    given.pop().unwrap_or_default()
}
