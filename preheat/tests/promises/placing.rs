use std::collections::BTreeSet;

use preheat::{ClusterChoice, PreheatState, Scope, SubmitError};
use queue::Clock as _;
use wire::{Lot, ObjectKind, Role};

use crate::support::{OCI_MANIFEST, Peer, World, failed, index, verified};

fn digests(lots: &[Lot]) -> BTreeSet<String> {
    lots.iter()
        .flat_map(|lot| &lot.placements)
        .map(|placement| placement.digest.clone())
        .collect()
}

async fn seeds(world: &World, count: usize) -> Vec<Peer> {
    let mut seeds = Vec::new();
    for n in 0..count {
        seeds.push(world.seed(&format!("seed-{n}")).await);
    }
    seeds
}

const LAYERS: [&str; 12] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];

#[tokio::test]
async fn single_seed_peer_places_each_object_once_in_each_cluster() {
    let world = World::start().await;
    let mut all = seeds(&world, 3).await;
    all.push(
        world
            .peer("edge-1", Role::Seed, "edge", uuid::Uuid::new_v4())
            .await,
    );
    world.registry.image(Some("v1"), &LAYERS);
    let id = world.submit("v1", Scope::SingleSeedPeer).await;
    world.until_state(id, PreheatState::Placing).await;
    let mut placed = Vec::new();
    for seed in &all {
        let lots = seed.take_now().await;
        placed.push(digests(&lots));
        seed.verify_all(&lots).await;
    }
    assert_eq!(placed[3].len(), 14);
    assert_eq!(placed[..3].iter().map(BTreeSet::len).sum::<usize>(), 14);
    assert_eq!(placed[..3].iter().flatten().collect::<BTreeSet<_>>().len(), 14);
    assert_eq!(world.view(id).await.state, PreheatState::Succeeded);
}

#[tokio::test]
async fn a_lot_has_all_that_its_peer_needs() {
    let world = World::start().await;
    let seed = world.seed("seed-1").await;
    let (root, size) = world.registry.image(Some("v1"), &["a"]);
    let id = world.submit("v1", Scope::SingleSeedPeer).await;
    let answer = loop {
        let answer = seed.try_take(200).await.unwrap();
        if !answer.lots.is_empty() {
            break answer;
        }
    };
    let lot = &answer.lots[0];
    assert_eq!((lot.preheat, lot.image.ends_with("/team/app:v1")), (id, true));
    let first = &lot.placements[0];
    let location: oci::Location = first.location.parse().unwrap();
    assert_eq!(
        (first.kind, first.size, first.digest.as_str()),
        (ObjectKind::Manifest, size as u64, root.as_str())
    );
    assert_eq!(
        (first.media_type.as_str(), location.repository.as_str()),
        (OCI_MANIFEST, "team/app")
    );
    assert!(
        lot.placements[1..]
            .iter()
            .all(|placement| placement.kind == ObjectKind::Blob)
    );
    let key = world.preheater.verifying_key();
    let wire::TagMeaning { cluster, record } = lot.tag.as_ref().unwrap().verify(&key).unwrap();
    assert_eq!(
        (
            record.tag.as_str(),
            record.digest.as_str(),
            record.media_type.as_str()
        ),
        ("v1", root.as_str(), OCI_MANIFEST)
    );
    assert_eq!((cluster.as_str(), &record.location), ("default", &first.location));
    // The registry that the lot names is one that the peer has been told of.
    let told = preheat::take(
        &world.preheater,
        seed.session(),
        wire::TakeRequest {
            at_most: 0,
            wait_ms: 0,
            neighbourhood_version: String::new(),
            working_on: Vec::new(),
            images: None,
            removals: 0,
        },
    );
    let told = told.await.unwrap().neighbourhood.unwrap();
    assert!(
        told.registries
            .iter()
            .any(|one| one.name == location.registry().as_str() && one.plain_http),
        "{told:?}"
    );
}

#[tokio::test]
async fn a_public_record_is_signed_for_all_objects_of_a_lot_at_once() {
    let world = World::start().await;
    let seed = world.seed("seed-1").await;
    world.registry.image(Some("v1"), &LAYERS);
    let before = world.clock.now_ms();
    world.submit("v1", Scope::SingleSeedPeer).await;
    let lots = seed.take().await;
    let lot = &lots[0];
    let key = world.preheater.verifying_key();
    let signed = lot.public.as_ref().unwrap();
    let record = signed.verify(&key).unwrap();
    assert_eq!(
        (record.cluster.as_str(), &record.location),
        ("default", &lot.placements[0].location)
    );
    assert!((before..=world.clock.now_ms()).contains(&record.found_unix_ms));
    let digests: Vec<&str> = lot.placements.iter().map(|order| order.digest.as_str()).collect();
    let proofs = wire::PublicProof::each(signed, &record, &digests);
    assert_eq!(
        (proofs.len(), digests.len()),
        (LAYERS.len() + 2, LAYERS.len() + 2)
    );
    for (digest, proof) in digests.iter().zip(&proofs) {
        assert_eq!(proof.verify(&key, digest).as_ref(), Ok(&record));
    }
}

#[tokio::test]
async fn stage_1_waits_for_stage_0() {
    let world = World::start().await;
    let all = seeds(&world, 3).await;
    world.registry.image(Some("v1"), &LAYERS);
    let id = world.submit("v1", Scope::AllSeedPeers).await;
    world.until_state(id, PreheatState::Placing).await;
    let mut first = Vec::new();
    for seed in &all {
        first.push(seed.take_now().await);
    }
    assert_eq!(first.iter().map(|lots| digests(lots).len()).sum::<usize>(), 14);
    for (seed, lots) in std::iter::zip(&all, &first).skip(1) {
        seed.verify_all(lots).await;
    }
    assert!(all[1].take_now().await.is_empty(), "stage 1 began too early");
    all[0].verify_all(&first[0]).await;
    for (seed, first) in std::iter::zip(&all, &first) {
        let second = seed.take_now().await;
        let parents = second
            .iter()
            .flat_map(|lot| &lot.placements)
            .map(|placement| &placement.parents);
        assert!(
            parents.clone().all(|parents| !parents.is_empty()),
            "each is read from a seed that has it"
        );
        assert!(
            !parents.flatten().any(|parent| parent.contains(&seed.name)),
            "nobody is his own parent"
        );
        assert_eq!(digests(first).union(&digests(&second)).count(), 14);
        assert!(digests(first).is_disjoint(&digests(&second)));
        seed.verify_all(&second).await;
    }
    let view = world.view(id).await;
    assert_eq!(
        (view.state, view.placements_verified),
        (PreheatState::Succeeded, 42)
    );
}

#[tokio::test]
async fn all_peers_means_every_seed_and_node_and_the_placeholder_expands() {
    let world = World::start().await;
    let seed = world.seed("seed-1").await;
    let nodes = [world.node("node-1").await, world.node("node-2").await];
    assert_eq!(nodes[0].role, Role::Node);
    world.registry.image(Some("v1"), &["a", "b"]);
    let id = world.submit("v1", Scope::AllPeers).await;
    let view = world.until_state(id, PreheatState::Placing).await;
    assert_eq!(view.placements_total, 12);
    assert!(nodes[0].take_now().await.is_empty());
    let objects = preheat::objects(&world.preheater, id).await.unwrap();
    assert_eq!(
        objects[0].placements.len(),
        3,
        "nodes that have not begun stand with the root"
    );
    let lots = seed.take().await;
    seed.verify_all(&lots).await;
    for node in &nodes {
        let lots = node.take_now().await;
        assert_eq!(digests(&lots).len(), 4);
        assert!(lots[0].credential.is_none());
        assert!(
            lots[0]
                .placements
                .iter()
                .all(|placement| placement.parents == ["https://seed-1.lan:65002"])
        );
        node.verify_all(&lots).await;
    }
    let view = world.view(id).await;
    assert_eq!(
        (view.state, view.placements_verified),
        (PreheatState::Succeeded, 12)
    );
    assert_eq!(view.bytes_done, view.bytes_total);
}

#[tokio::test]
async fn an_object_that_its_seed_could_not_fetch_fails_on_nodes_too_and_the_rest_arrives() {
    let world = World::start().await;
    let seed = world.seed("seed-1").await;
    let node = world.node("node-1").await;
    world.registry.image(Some("v1"), &["a", "b"]);
    let id = world.submit("v1", Scope::AllPeers).await;
    let lots = seed.take().await;
    let mut outcomes = verified(&lots[0]);
    outcomes[3] = failed(&lots[0], "the registry said 404").remove(3);
    seed.settle(outcomes).await;
    let lots = node.take().await;
    assert_eq!(digests(&lots).len(), 3);
    node.verify_all(&lots).await;
    let view = world.view(id).await;
    assert_eq!(
        (view.state, view.placements_verified, view.placements_failed),
        (PreheatState::Failed, 6, 2)
    );
    let rows = preheat::harbor_rows(&world.preheater, id, 1_000)
        .await
        .unwrap()
        .rows;
    let of_node = rows
        .iter()
        .find(|row| !row.ok && row.hostname == "node-1")
        .unwrap();
    let text = &of_node.description;
    assert!(text.contains("seed-1") && text.contains("404"), "{of_node:?}");
}

#[tokio::test]
async fn when_the_seed_gets_nothing_the_preheat_ends_at_once() {
    let world = World::start().await;
    let seed = world.seed("seed-1").await;
    let _node = world.node("node-1").await;
    world.registry.image(Some("v1"), &["a"]);
    let id = world.submit("v1", Scope::AllPeers).await;
    let lots = seed.take().await;
    seed.settle(failed(&lots[0], "disk full")).await;
    let view = world.view(id).await;
    assert_eq!(
        (view.state, view.placements_failed, view.placements_open),
        (PreheatState::Failed, 6, 0)
    );
    let rows = preheat::harbor_rows(&world.preheater, id, 1_000)
        .await
        .unwrap()
        .rows;
    assert!(rows.iter().any(|row| row.hostname == "node-1"), "{rows:?}");
}

#[tokio::test]
async fn an_unknown_cluster_is_refused_and_the_known_ones_are_named() {
    let world = World::start().await;
    world
        .peer("edge-1", Role::Seed, "edge", uuid::Uuid::new_v4())
        .await;
    for clusters in [
        ClusterChoice::Ids(vec![1, 99]),
        ClusterChoice::Names(vec!["elsewhere".into()]),
    ] {
        let mut request = world.request("v1", Scope::SingleSeedPeer);
        request.clusters = clusters;
        let refused = preheat::submit(&world.preheater, None, request, None)
            .await
            .unwrap_err();
        let SubmitError::UnknownCluster { known, .. } = refused else {
            panic!("{refused}")
        };
        assert_eq!(known, ["default (1)", "edge (2)"]);
    }
    let listed = preheat::clusters(&world.preheater).await.unwrap();
    assert_eq!(
        (listed[0].id, listed[0].name.as_str(), listed[1].seeds),
        (1, "default", 1)
    );
}

#[tokio::test]
async fn only_named_clusters_are_used() {
    let world = World::start().await;
    let here = world.seed("seed-1").await;
    let edge = world
        .peer("edge-1", Role::Seed, "edge", uuid::Uuid::new_v4())
        .await;
    world.registry.image(Some("v1"), &["a"]);
    let mut request = world.request("v1", Scope::SingleSeedPeer);
    request.clusters = ClusterChoice::Names(vec!["edge".into()]);
    let id = world.submit_request(request).await;
    world.until_state(id, PreheatState::Placing).await;
    assert!(here.take_now().await.is_empty());
    edge.verify_all(&edge.take_now().await).await;
    assert_eq!(world.view(id).await.state, PreheatState::Succeeded);
}

#[tokio::test]
async fn an_index_brings_all_its_platforms_unless_some_are_named() {
    let world = World::start().await;
    let seed = world.seed("seed-1").await;
    let amd = world.registry.image(None, &["base", "amd"]);
    let arm = world.registry.image(None, &["base", "arm"]);
    let proof = world.registry.image(None, &["attestation"]);
    let entries = [
        (&amd, OCI_MANIFEST, "amd64"),
        (&arm, OCI_MANIFEST, "arm64"),
        (&proof, OCI_MANIFEST, "unknown"),
    ];
    world
        .registry
        .keep(Some("v1"), crate::support::OCI_INDEX, &index(&entries));
    let all = world.submit("v1", Scope::SingleSeedPeer).await;
    let view = world.until_state(all, PreheatState::Placing).await;
    // Index, 3 manifests, 3 configs, the base layer once, amd, arm, attestation.
    assert_eq!(view.objects_total, 11);
    let mut request = world.request("v1", Scope::SingleSeedPeer);
    request.platforms = vec!["linux/arm64".parse().unwrap()];
    let one = world.submit_request(request).await;
    assert_eq!(
        world.until_state(one, PreheatState::Placing).await.objects_total,
        5
    );
    let mut request = world.request("v1", Scope::SingleSeedPeer);
    request.platforms = vec!["linux/riscv64".parse().unwrap()];
    let none = world.submit_request(request).await;
    let view = world.until_state(none, PreheatState::Failed).await;
    assert_eq!(view.side, Some(wire::Side::Caller));
    let reason = view.reason.unwrap();
    insta::assert_snapshot!(world.without_host(&reason), @"the image has nothing for linux/riscv64; it has linux/amd64, linux/arm64");
    assert_eq!(seed.take_now().await.len(), 2);
}

#[tokio::test]
async fn holders_of_an_object_are_named_as_its_parents() {
    let world = World::start().await;
    let all = seeds(&world, 2).await;
    let held = wire::Holding {
        digest: oci::Digest::of(b"a").to_string(),
        size: 100,
    };
    let report = wire::HoldingsReport {
        starts_full_list: true,
        gained: vec![held.clone()],
        lost: Vec::new(),
    };
    preheat::holdings(&world.preheater, all[0].session(), report)
        .await
        .unwrap();
    let parents = preheat::parents(&world.preheater, all[1].session(), &held.digest)
        .await
        .unwrap();
    assert_eq!(
        parents
            .iter()
            .map(|parent| parent.name.as_str())
            .collect::<Vec<_>>(),
        ["seed-0"]
    );
    let own = preheat::parents(&world.preheater, all[0].session(), &held.digest)
        .await
        .unwrap();
    assert!(own.is_empty());
    let listed = preheat::peers(&world.preheater).await.unwrap();
    assert_eq!((listed[0].holdings, listed[0].held_bytes), (1, 100));
    let lost = wire::HoldingsReport {
        lost: vec![held.digest.clone()],
        ..wire::HoldingsReport::default()
    };
    preheat::holdings(&world.preheater, all[0].session(), lost)
        .await
        .unwrap();
    assert!(
        preheat::parents(&world.preheater, all[1].session(), &held.digest)
            .await
            .unwrap()
            .is_empty()
    );
}
