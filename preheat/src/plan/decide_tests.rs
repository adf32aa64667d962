use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

fn object(n: usize) -> PlannedObject {
    PlannedObject {
        class: Class::of(i32::try_from(n % 3).unwrap()).unwrap(),
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
            LotContent::Objects(listed) => listed.as_slice(),
            LotContent::Everything => objects,
        };
        let rows = listed.iter().map(|object| (object.digest.clone(), lot.stage));
        placed.entry(lot.peer).or_default().extend(rows);
    }
    placed
}

fn all(scope: Scope) -> WantedHolders {
    some(scope, Chosen::All)
}

fn some(scope: Scope, chosen: Chosen) -> WantedHolders {
    let root = "sha256:root".to_owned();
    WantedHolders { scope, chosen, root }
}

/// Peers of a cluster that hold every object.
fn whole(lots: &[PlannedLot], objects: &[PlannedObject]) -> BTreeSet<Uuid> {
    placed(lots, objects)
        .into_iter()
        .filter(|(_, rows)| rows.len() == objects.len())
        .map(|(peer, _)| peer)
        .collect()
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
        let placed = placed(&plan(&objects, &[&one], &all(scope)), &objects);
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
            let origin: Vec<_> = plan(&objects, &[&clusters[0], &clusters[1]], &all(scope))
                .into_iter()
                .filter(|lot| lot.cluster == each.id && lot.stage == Stage::Registry)
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
    fn as_many_peers_hold_an_image_as_were_chosen(
        count in 2_usize..20, seeds in 1_u128..6, nodes in 0_u128..20, wanted in 1_u32..30, percent in 1_u8..=100,
    ) {
        let objects: Vec<_> = (0..count).map(object).collect();
        let one = cluster(1, seeds, nodes);
        let peers = usize::try_from(seeds + nodes).unwrap();
        let rounded_up = (1..=peers).find(|n| n * 100 >= peers * usize::from(percent)).unwrap();
        let by_count = usize::try_from(wanted).unwrap().min(peers);
        for (chosen, expected) in [(Chosen::Count(wanted), by_count), (Chosen::Percent(percent), rounded_up)] {
            let holders = some(Scope::AllPeers, chosen);
            let lots = plan(&objects, &[&one], &holders);
            let origin: Vec<_> = lots.iter().filter(|lot| lot.stage == Stage::Registry).cloned().collect();
            let all_lots = plan(&objects, &[&one], &all(Scope::AllPeers));
            let all_origin: Vec<_> = all_lots.into_iter().filter(|lot| lot.stage == Stage::Registry).collect();
            prop_assert_eq!(&origin, &all_origin, "who fetches does not depend on who holds");
            let held_by = holders.of(&one);
            prop_assert_eq!(held_by.len(), expected);
            prop_assert!(held_by.is_subset(&whole(&lots, &objects)), "each of them gets all");
            let others: BTreeSet<Uuid> = lots.iter().filter(|lot| lot.stage == Stage::Peers).map(|lot| lot.peer).collect();
            prop_assert!(others.is_subset(&held_by), "nobody else is asked to read");
        }
    }

    #[test]
    fn more_peers_means_the_same_ones_and_others(seeds in 1_u128..4, nodes in 0_u128..20, wanted in 1_u32..20) {
        let one = cluster(1, seeds, nodes);
        let of = |count| some(Scope::AllPeers, Chosen::Count(count)).of(&one);
        prop_assert!(of(wanted).is_subset(&of(wanted + 1)));
    }

    #[test]
    fn the_plan_does_not_depend_on_who_was_listed_first(
        count in 1_usize..20, seeds in 1_u128..6, nodes in 0_u128..4, scope in any_scope(),
    ) {
        let mut objects: Vec<_> = (0..count).map(object).collect();
        let (mut one, two) = (cluster(1, seeds, nodes), cluster(2, 2, 1));
        let before = plan(&objects, &[&one, &two], &all(scope));
        objects.reverse();
        one.seeds.reverse();
        one.nodes.reverse();
        prop_assert_eq!(before, plan(&objects, &[&two, &one], &all(scope)));
    }
}

#[test]
fn named_peers_hold_an_image_and_only_as_far_as_the_scope_goes() {
    let one = cluster(1, 2, 2);
    let named: BTreeSet<Uuid> = [one.seeds[1], one.nodes[0]].into();
    let of = |scope| some(scope, Chosen::Named(named.clone())).of(&one);
    assert_eq!(of(Scope::AllPeers), named);
    assert_eq!(of(Scope::AllSeedPeers), BTreeSet::from([one.seeds[1]]));
}

#[test]
fn another_image_may_be_held_by_others() {
    let one = cluster(1, 1, 50);
    let of = |root: &str| {
        let holders = WantedHolders {
            root: root.to_owned(),
            ..some(Scope::AllPeers, Chosen::Count(5))
        };
        holders.of(&one)
    };
    assert_eq!(of("a"), of("a"));
    assert_ne!(of("a"), of("b"));
}

#[test]
fn a_lot_begins_with_the_manifests_then_configs_then_layers() {
    let objects: Vec<_> = (0..9).map(object).collect();
    let one = cluster(1, 1, 0);
    let lots = plan(&objects, &[&one], &all(Scope::SingleSeedPeer));
    let LotContent::Objects(listed) = &lots[0].content else {
        panic!("no objects")
    };
    let classes: Vec<i32> = listed.iter().map(|object| object.class as i32).collect();
    assert_eq!(classes, [0, 0, 0, 1, 1, 1, 2, 2, 2]);
}

#[test]
fn an_object_goes_to_the_seed_where_a_node_looks_first() {
    let one = cluster(1, 4, 0);
    for n in 0..50 {
        let lots = plan(&[object(n)], &[&one], &all(Scope::SingleSeedPeer));
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
