//! Decides which peer holds which object. Reads nothing, writes nothing, and does not care in which order
//! its arguments come.
//!
//! Stage 0: each object has exactly one seed of each cluster, which fetches it from the registry. Stage 1:
//! everybody else that has to hold the image; they read from the seeds of stage 0 and start once those are done.
//! Stage 0 does not depend on the choice of peers: each object needs one seed that fetches it.

use std::collections::BTreeSet;

use uuid::Uuid;
use wire::seeds_in_order;

use crate::model::class::Class;
use crate::model::scope::{ClusterChoice, Scope};
use crate::model::stage::Stage;

/// An object to be placed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PlannedObject {
    pub(crate) class: Class,
    pub(crate) digest: String,
    pub(crate) size: u64,
}

/// A cluster with its live peers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LiveCluster {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) seeds: Vec<Uuid>,
    pub(crate) nodes: Vec<Uuid>,
}

/// The objects of one peer in one stage.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PlannedLot {
    pub(crate) cluster: i64,
    pub(crate) stage: Stage,
    pub(crate) peer: Uuid,
    pub(crate) content: LotContent,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LotContent {
    Objects(Vec<PlannedObject>),
    /// Every object of the preheat; written out when the peer takes the lot.
    Everything,
}

/// The peers that have to hold the image in the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WantedHolders {
    pub(crate) scope: Scope,
    pub(crate) chosen: Chosen,
    /// The key of the choice: the same image goes to the same peers.
    pub(crate) root: String,
}

/// The chosen ones among the peers that a scope names, cluster by cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Chosen {
    All,
    Count(u32),
    Percent(u8),
    Named(BTreeSet<Uuid>),
}

/// No seed can fetch: the named clusters have no live seed, or, if none is named, no cluster has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NoSeed {
    pub(crate) clusters: Vec<String>,
}

/// The clusters that a request means, if each of them can do its part.
pub(crate) fn wanted_clusters<'a>(
    choice: &ClusterChoice,
    clusters: &'a [LiveCluster],
) -> Result<Vec<&'a LiveCluster>, NoSeed> {
    let meant = clusters
        .iter()
        .filter(|cluster| choice.means(cluster.id, &cluster.name));
    let (able, unable): (Vec<_>, Vec<_>) = meant.partition(|cluster| !cluster.seeds.is_empty());
    let lacking =
        |unable: Vec<&LiveCluster>| unable.into_iter().map(|cluster| cluster.name.clone()).collect();
    match choice {
        ClusterChoice::All if able.is_empty() => Err(NoSeed { clusters: Vec::new() }),
        ClusterChoice::All => Ok(able),
        _ if able.is_empty() || !unable.is_empty() => Err(NoSeed {
            clusters: lacking(unable),
        }),
        _ => Ok(able),
    }
}

/// Every lot of a preheat, in a fixed order.
pub(crate) fn plan(
    objects: &[PlannedObject],
    clusters: &[&LiveCluster],
    holders: &WantedHolders,
) -> Vec<PlannedLot> {
    let mut objects: Vec<&PlannedObject> = objects.iter().collect();
    objects.sort();
    let mut lots: Vec<PlannedLot> = clusters
        .iter()
        .flat_map(|cluster| plan_cluster(&objects, cluster, holders))
        .collect();
    lots.sort();
    lots
}

fn plan_cluster(
    objects: &[&PlannedObject],
    cluster: &LiveCluster,
    holders: &WantedHolders,
) -> Vec<PlannedLot> {
    let seed_of: Vec<Option<Uuid>> = objects
        .iter()
        .map(|object| next_seed(&cluster.name, &object.digest, &cluster.seeds, None))
        .collect();
    let lot_of = |seed: Uuid, stage: Stage| {
        let is_first = stage == Stage::Registry;
        let listed: Vec<PlannedObject> = std::iter::zip(objects, &seed_of)
            .filter(|(_, first)| (**first == Some(seed)) == is_first)
            .map(|(object, _)| (*object).clone())
            .collect();
        let (cluster, peer) = (cluster.id, seed);
        (!listed.is_empty()).then_some(PlannedLot {
            cluster,
            stage,
            peer,
            content: LotContent::Objects(listed),
        })
    };
    let held_by = holders.of(cluster);
    let seeds = || cluster.seeds.iter().copied();
    let origin = seeds().filter_map(|seed| lot_of(seed, Stage::Registry));
    let others = seeds()
        .filter(|seed| held_by.contains(seed))
        .filter_map(|seed| lot_of(seed, Stage::Peers));
    let nodes = cluster.nodes.iter().filter(|node| held_by.contains(node));
    let nodes = nodes
        .filter(|_| !objects.is_empty())
        .map(|node| everything_for(cluster.id, *node));
    origin.chain(others).chain(nodes).collect()
}

impl WantedHolders {
    /// The peers of a cluster that have to hold every object; none where one seed for each object is enough.
    fn of(&self, cluster: &LiveCluster) -> BTreeSet<Uuid> {
        let meant = named_by(self.scope, cluster);
        let wanted = match &self.chosen {
            Chosen::All => meant.len(),
            Chosen::Count(count) => usize::try_from(*count).unwrap_or(usize::MAX),
            Chosen::Percent(percent) => share_of(meant.len(), *percent),
            Chosen::Named(named) => return meant.into_iter().filter(|peer| named.contains(peer)).collect(),
        };
        let ordered = seeds_in_order(&cluster.name, &self.root, &meant, |peer| *peer);
        ordered.into_iter().copied().take(wanted).collect()
    }
}

/// Rounded up: a share of some peers is one at least.
fn share_of(peers: usize, percent: u8) -> usize {
    (peers * usize::from(percent)).div_ceil(100)
}

/// The peers of a cluster that a scope means as a whole.
pub(crate) fn named_by(scope: Scope, cluster: &LiveCluster) -> Vec<Uuid> {
    match scope {
        Scope::SingleSeedPeer => Vec::new(),
        Scope::AllSeedPeers => cluster.seeds.clone(),
        Scope::AllPeers => cluster.seeds.iter().chain(&cluster.nodes).copied().collect(),
    }
}

fn everything_for(cluster: i64, peer: Uuid) -> PlannedLot {
    PlannedLot {
        cluster,
        stage: Stage::Peers,
        peer,
        content: LotContent::Everything,
    }
}

/// Returns the seed of an object, without the seed that left.
pub(crate) fn next_seed(cluster: &str, digest: &str, seeds: &[Uuid], gone: Option<Uuid>) -> Option<Uuid> {
    let ordered = seeds_in_order(cluster, digest, seeds, |seed| *seed);
    ordered.into_iter().copied().find(|seed| Some(*seed) != gone)
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
