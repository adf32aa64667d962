use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

fn object(n: usize) -> PlannedObject {
    PlannedObject {
        class: i32::try_from(n % 3).unwrap(),
        digest: format!("sha256:{n:064}"),
        size: n as u64,
    }
}

fn cluster(id: i64, seeds: u128, nodes: u128) -> LiveCluster {
    let ids = |from: u128, count: u128| (from..from + count).map(Uuid::from_u128).collect();
    let base = u128::try_from(id).unwrap() * 1_000;
    LiveCluster {
        id,
        name: format!("c{id}"),
        seeds: ids(base, seeds),
        nodes: ids(base + 500, nodes),
    }
}

/// Peer -> digest -> stage, with each placeholder written out.
fn placed(lots: &[PlannedLot], objects: &[PlannedObject]) -> BTreeMap<Uuid, Vec<(String, Stage)>> {
    let mut placed: BTreeMap<Uuid, Vec<(String, Stage)>> = BTreeMap::new();
    for lot in lots {
        let listed = match &lot.content {
            Content::Objects(listed) => listed.as_slice(),
            Content::Everything => objects,
        };
        let rows = listed.iter().map(|object| (object.digest.clone(), lot.stage));
        placed.entry(lot.peer).or_default().extend(rows);
    }
    placed
}

fn any_scope() -> impl Strategy<Value = Scope> {
    prop_oneof![
        Just(Scope::SingleSeedPeer),
        Just(Scope::AllSeedPeers),
        Just(Scope::AllPeers)
    ]
}

proptest! {
    #[test]
    fn every_object_is_placed_where_the_scope_says(
        count in 1_usize..40, seeds in 1_u128..6, nodes in 0_u128..6, scope in any_scope(),
    ) {
        let objects: Vec<_> = (0..count).map(object).collect();
        let one = cluster(1, seeds, nodes);
        let placed = placed(&plan(&objects, &[&one], scope), &objects);
        let expected: BTreeSet<String> = objects.iter().map(|object| object.digest.clone()).collect();
        let whole = |peer: &Uuid| placed.get(peer).is_some_and(|rows| {
            rows.len() == expected.len() && rows.iter().all(|(digest, _)| expected.contains(digest))
        });
        match scope {
            Scope::SingleSeedPeer => {
                let all: Vec<&String> = placed.values().flatten().map(|(digest, _)| digest).collect();
                prop_assert_eq!(all.len(), expected.len());
            }
            Scope::AllSeedPeers => {
                prop_assert!(one.seeds.iter().all(whole));
                prop_assert!(!one.nodes.iter().any(|node| placed.contains_key(node)));
            }
            Scope::AllPeers => prop_assert!(one.seeds.iter().chain(&one.nodes).all(whole)),
        }
    }

    #[test]
    fn each_object_is_fetched_once_per_cluster_from_the_registry(
        count in 1_usize..40, seeds in 1_u128..6, scope in any_scope(),
    ) {
        let objects: Vec<_> = (0..count).map(object).collect();
        let clusters = [cluster(1, seeds, 2), cluster(2, 3, 0)];
        for each in &clusters {
            let origin: Vec<_> = plan(&objects, &[&clusters[0], &clusters[1]], scope)
                .into_iter()
                .filter(|lot| lot.cluster == each.id && lot.stage == Stage::Origin)
                .collect();
            let mut fetched: Vec<String> =
                placed(&origin, &objects).into_values().flatten().map(|(digest, _)| digest).collect();
            fetched.sort();
            let mut expected: Vec<String> = objects.iter().map(|object| object.digest.clone()).collect();
            expected.sort();
            prop_assert_eq!(fetched, expected);
        }
    }

    #[test]
    fn the_plan_does_not_depend_on_who_was_listed_first(
        count in 1_usize..20, seeds in 1_u128..6, nodes in 0_u128..4, scope in any_scope(),
    ) {
        let mut objects: Vec<_> = (0..count).map(object).collect();
        let (mut one, two) = (cluster(1, seeds, nodes), cluster(2, 2, 1));
        let before = plan(&objects, &[&one, &two], scope);
        objects.reverse();
        one.seeds.reverse();
        one.nodes.reverse();
        prop_assert_eq!(before, plan(&objects, &[&two, &one], scope));
    }
}

#[test]
fn a_lot_begins_with_the_manifests_then_configs_then_layers() {
    let objects: Vec<_> = (0..9).map(object).collect();
    let one = cluster(1, 1, 0);
    let lots = plan(&objects, &[&one], Scope::SingleSeedPeer);
    let Content::Objects(listed) = &lots[0].content else {
        panic!("no objects")
    };
    let classes: Vec<i32> = listed.iter().map(|object| object.class).collect();
    assert_eq!(classes, [0, 0, 0, 1, 1, 1, 2, 2, 2]);
}

#[test]
fn an_object_goes_to_the_seed_where_a_node_looks_first() {
    let one = cluster(1, 4, 0);
    for n in 0..50 {
        let lots = plan(&[object(n)], &[&one], Scope::SingleSeedPeer);
        let first = *seeds_in_order("c1", &object(n).digest, &one.seeds, |seed| *seed)[0];
        assert_eq!(lots[0].peer, first);
    }
}

#[test]
fn the_next_seed_leaves_out_the_one_that_is_gone() {
    let one = cluster(1, 3, 0);
    let order = seeds_in_order("c1", "d", &one.seeds, |seed| *seed);
    assert_eq!(next_seed("c1", "d", &one.seeds, Some(*order[0])), Some(*order[1]));
    assert_eq!(next_seed("c1", "d", &one.seeds[..1], Some(one.seeds[0])), None);
}

#[test]
fn a_cluster_without_a_seed_is_named() {
    let clusters = [cluster(1, 1, 0), cluster(2, 0, 3)];
    let ids = |choice| {
        wanted_clusters(&choice, &clusters).map(|wanted| wanted.iter().map(|c| c.id).collect::<Vec<_>>())
    };
    assert_eq!(ids(ClusterChoice::All), Ok(vec![1]));
    assert_eq!(ids(ClusterChoice::Ids(vec![1])), Ok(vec![1]));
    let lacking = Err(NoSeed {
        clusters: vec!["c2".to_owned()],
    });
    assert_eq!(
        ids(ClusterChoice::Names(vec!["c1".to_owned(), "c2".to_owned()])),
        lacking
    );
    assert_eq!(
        wanted_clusters(&ClusterChoice::All, &clusters[1..]),
        Err(NoSeed { clusters: Vec::new() })
    );
}
