//! Decides which peer holds which object. Reads nothing, writes nothing, and does not care in which order
//! its arguments come.
//!
//! Stage 0: each object has exactly one seed of each cluster, which fetches it from the registry. Stage 1:
//! everybody else that the scope names; they read from the seeds of stage 0 and start once those are done.

use uuid::Uuid;
use wire::seeds_in_order;

use crate::scope::{ClusterChoice, Scope};

/// An object to be placed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PlannedObject {
    /// 0 for manifests and indexes, 1 for configs, 2 for layers: the order in which a peer fetches them.
    pub(crate) class: i32,
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// From the registry.
    Origin = 0,
    /// From the seeds that have it.
    Peers = 1,
}

/// What one peer gets in one stage.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PlannedLot {
    pub(crate) cluster: i64,
    pub(crate) stage: Stage,
    pub(crate) peer: Uuid,
    pub(crate) content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Content {
    Objects(Vec<PlannedObject>),
    /// Every object of the preheat; written out when the peer takes the lot.
    Everything,
}

/// Nobody can fetch: the named clusters have no live seed (none named: no cluster has one).
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
pub(crate) fn plan(objects: &[PlannedObject], clusters: &[&LiveCluster], scope: Scope) -> Vec<PlannedLot> {
    let mut objects: Vec<&PlannedObject> = objects.iter().collect();
    objects.sort();
    let mut lots: Vec<PlannedLot> = clusters
        .iter()
        .flat_map(|cluster| plan_cluster(&objects, cluster, scope))
        .collect();
    lots.sort();
    lots
}

fn plan_cluster(objects: &[&PlannedObject], cluster: &LiveCluster, scope: Scope) -> Vec<PlannedLot> {
    let seed_of: Vec<Option<Uuid>> = objects
        .iter()
        .map(|object| next_seed(&cluster.name, &object.digest, &cluster.seeds, None))
        .collect();
    let lot_of = |seed: Uuid, stage: Stage| {
        let is_first = stage == Stage::Origin;
        let chosen: Vec<PlannedObject> = std::iter::zip(objects, &seed_of)
            .filter(|(_, first)| (**first == Some(seed)) == is_first)
            .map(|(object, _)| (*object).clone())
            .collect();
        let content = Content::Objects(chosen.clone());
        (!chosen.is_empty()).then_some(PlannedLot {
            cluster: cluster.id,
            stage,
            peer: seed,
            content,
        })
    };
    let mut lots: Vec<PlannedLot> = cluster
        .seeds
        .iter()
        .filter_map(|seed| lot_of(*seed, Stage::Origin))
        .collect();
    if scope != Scope::SingleSeedPeer {
        lots.extend(
            cluster
                .seeds
                .iter()
                .filter_map(|seed| lot_of(*seed, Stage::Peers)),
        );
    }
    if scope == Scope::AllPeers && !objects.is_empty() {
        lots.extend(cluster.nodes.iter().map(|node| everything_for(cluster.id, *node)));
    }
    lots
}

fn everything_for(cluster: i64, peer: Uuid) -> PlannedLot {
    PlannedLot {
        cluster,
        stage: Stage::Peers,
        peer,
        content: Content::Everything,
    }
}

/// The seed that an object belongs to, leaving out one that is gone.
pub(crate) fn next_seed(cluster: &str, digest: &str, seeds: &[Uuid], gone: Option<Uuid>) -> Option<Uuid> {
    let ordered = seeds_in_order(cluster, digest, seeds, |seed| *seed);
    ordered.into_iter().copied().find(|seed| Some(*seed) != gone)
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
