//! `[[trigger]]`: what to preheat when a registry reports a push. The first trigger that matches applies.

use std::net::IpAddr;

use api::triggers::{Glob, Rule, Rules, Wish};
use preheat::{ClusterChoice, PeerChoice, Scope};
use settings::Section;

pub(super) fn read(top: &Section<'_>) -> Rules {
    Rules::new(top.tables("trigger").iter().filter_map(one).collect())
}

fn one(section: &Section<'_>) -> Option<Rule> {
    let registry = registry(section);
    let repository = section.parsed("repository");
    let tag = section.parsed("tag");
    let clusters: Vec<String> = section.list("clusters");
    let wish = Wish {
        clusters: if clusters.is_empty() {
            ClusterChoice::All
        } else {
            ClusterChoice::Names(clusters)
        },
        ..wish(section)
    };
    let everything: Glob = "**".parse().ok()?;
    Some(Rule {
        registry: registry?,
        repository: repository.unwrap_or_else(|| everything.clone()),
        tag: tag.unwrap_or(everything),
        wish,
    })
}

/// Reads everything except the clusters.
fn wish(section: &Section<'_>) -> Wish {
    let scope: Scope = section.parsed("scope").unwrap_or_default();
    Wish {
        scope,
        peers: peers(section, scope),
        clusters: ClusterChoice::All,
        platforms: section.list("platforms"),
        referrers: section.switch("referrers"),
        priority: section.parsed("priority").unwrap_or_default(),
    }
}

/// Every rule must name its registry.
fn registry(section: &Section<'_>) -> Option<Glob> {
    let registry = section.parsed("registry");
    if !section.has("registry") {
        section.incomplete(
            "registry",
            "is needed: the registry whose pushes match, for example \"harbor.example.com\"",
        );
    }
    registry
}

/// At most one of `count`, `percent` and `addresses`, and only with a scope of more than one peer.
fn peers(section: &Section<'_>, scope: Scope) -> PeerChoice {
    let addresses: Vec<IpAddr> = section.list("addresses");
    let addresses = (!addresses.is_empty()).then_some(PeerChoice::Addresses(addresses));
    let choices = [count(section), percent(section), addresses];
    let mut given: Vec<PeerChoice> = choices.into_iter().flatten().collect();
    if given.len() > 1 {
        section.fault("count", "only one of count, percent and addresses can be given");
    }
    if !given.is_empty() && scope == Scope::SingleSeedPeer {
        section.fault(
            "scope",
            "must be \"all_seed_peers\" or \"all_peers\" with count, percent or addresses",
        );
    }
    given.pop().unwrap_or_default()
}

fn count(section: &Section<'_>) -> Option<PeerChoice> {
    let count = section.count("count")?;
    if count == 0 {
        section.fault("count", "must be 1 or more");
    }
    Some(PeerChoice::Count(count))
}

fn percent(section: &Section<'_>) -> Option<PeerChoice> {
    let percent = u8::try_from(section.count("percent")?).ok();
    let percent = percent.filter(|percent| (1..=100).contains(percent));
    let percent = section.check("percent", percent.ok_or("must be from 1 to 100"))?;
    Some(PeerChoice::Percent(percent))
}
