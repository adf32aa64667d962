//! The platforms, referrers and tolerance of one preheat, from the settings of its clusters.

use std::collections::{BTreeMap, BTreeSet};

use oci::Platform;

use super::decide::LiveCluster;
use crate::model::cluster_settings::SettingsByCluster;
use crate::model::scope::{ClusterChoice, Scope};

/// The platforms of a request that names none: the union of what its clusters want. Empty, that is all, as soon as one
/// of them wants all.
pub(crate) fn platforms_wanted(
    choice: &ClusterChoice,
    clusters: &[LiveCluster],
    settings: &SettingsByCluster,
) -> Vec<Platform> {
    let mut union = BTreeSet::new();
    for cluster in meant(choice, clusters) {
        match settings.get(&cluster.name) {
            Some(settings) if !settings.platforms.is_empty() => {
                union.extend(settings.platforms.iter().cloned());
            }
            _ => return Vec::new(),
        }
    }
    union.into_iter().collect()
}

/// One cluster that wants them is enough.
pub(crate) fn referrers_wanted(
    choice: &ClusterChoice,
    clusters: &[LiveCluster],
    settings: &SettingsByCluster,
) -> bool {
    meant(choice, clusters).any(|cluster| {
        settings
            .get(&cluster.name)
            .is_some_and(|settings| settings.referrers)
    })
}

fn meant<'a>(
    choice: &'a ClusterChoice,
    clusters: &'a [LiveCluster],
) -> impl Iterator<Item = &'a LiveCluster> {
    clusters.iter().filter(|cluster| {
        choice.means(cluster.id, &cluster.name)
            && (*choice != ClusterChoice::All || !cluster.seeds.is_empty())
    })
}

/// How many peers may leave, by cluster id; clusters where none may are left out.
pub(crate) fn tolerated_absent(
    scope: Scope,
    wanted: &[&LiveCluster],
    settings: &SettingsByCluster,
) -> BTreeMap<i64, u32> {
    if scope == Scope::SingleSeedPeer {
        return BTreeMap::new();
    }
    let tolerated = |cluster: &&LiveCluster| {
        let settings = settings.get(&cluster.name)?;
        (settings.tolerated_absent > 0).then_some((cluster.id, settings.tolerated_absent))
    };
    wanted.iter().filter_map(tolerated).collect()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::model::cluster_settings::{ClusterLimits, ClusterSettings};

    fn cluster(id: i64, name: &str, seeds: usize) -> LiveCluster {
        LiveCluster {
            id,
            name: name.to_owned(),
            seeds: vec![Uuid::nil(); seeds],
            nodes: Vec::new(),
        }
    }

    fn settings(of: &[(&str, &[&str], u32)]) -> SettingsByCluster {
        let settings = |platforms: &[&str], tolerated_absent| ClusterSettings {
            platforms: platforms.iter().map(|text| text.parse().unwrap()).collect(),
            tolerated_absent,
            referrers: tolerated_absent > 0,
            limits: ClusterLimits::default(),
        };
        of.iter()
            .map(|(name, platforms, tolerated)| ((*name).to_owned(), settings(platforms, *tolerated)))
            .collect()
    }

    fn names(platforms: &[Platform]) -> Vec<String> {
        platforms.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_union_of_what_clusters_want_or_all_if_one_wants_all() {
        let (all, both) = (
            ClusterChoice::All,
            settings(&[
                ("edge", &["linux/amd64"], 0),
                ("core", &["linux/arm64", "linux/amd64"], 0),
            ]),
        );
        let clusters = [cluster(1, "edge", 1), cluster(2, "core", 2)];
        let union = names(&platforms_wanted(&all, &clusters, &both));
        assert_eq!(union, ["linux/amd64", "linux/arm64"]);
        let edge = ClusterChoice::Ids(vec![1]);
        assert_eq!(names(&platforms_wanted(&edge, &clusters, &both)), ["linux/amd64"]);
        let one = settings(&[("edge", &["linux/amd64"], 0), ("core", &[], 3)]);
        assert!(platforms_wanted(&all, &clusters, &one).is_empty());
        assert!(referrers_wanted(&all, &clusters, &one));
        assert!(!referrers_wanted(&edge, &clusters, &one));
        assert!(platforms_wanted(&all, &[], &both).is_empty());
    }

    #[test]
    fn a_cluster_without_a_seed_counts_only_when_it_is_named() {
        let one = settings(&[("edge", &["linux/amd64"], 0)]);
        let clusters = [cluster(1, "edge", 1), cluster(2, "core", 0)];
        let all = platforms_wanted(&ClusterChoice::All, &clusters, &one);
        assert_eq!(names(&all), ["linux/amd64"]);
        let both = ClusterChoice::Names(vec!["edge".to_owned(), "core".to_owned()]);
        assert!(platforms_wanted(&both, &clusters, &one).is_empty());
    }

    #[test]
    fn nobody_may_leave_where_one_seed_is_all_that_was_asked_for() {
        let (edge, core) = (cluster(1, "edge", 1), cluster(2, "core", 1));
        let settings = settings(&[("edge", &[], 2)]);
        let tolerated = |scope| tolerated_absent(scope, &[&edge, &core], &settings);
        assert!(tolerated(Scope::SingleSeedPeer).is_empty());
        for scope in [Scope::AllSeedPeers, Scope::AllPeers] {
            assert_eq!(tolerated(scope), BTreeMap::from([(1, 2)]));
        }
    }
}
