use std::net::IpAddr;

use preheat::{BadPeers, PeerChoice, PreheatRequest, PreheatState, Scope, SubmitError};
use uuid::Uuid;
use wire::{Role, Side};

use crate::support::{Peer, World};

fn chosen(world: &World, scope: Scope, peers: PeerChoice) -> PreheatRequest {
    PreheatRequest {
        peers,
        ..world.request("v1", scope)
    }
}

fn at(addresses: &[&str]) -> PeerChoice {
    let parsed = addresses.iter().map(|text| text.parse::<IpAddr>().unwrap());
    PeerChoice::Addresses(parsed.collect())
}

/// Two seeds and five nodes; the nodes' addresses end in 20 and on.
async fn cluster(world: &World) -> (Vec<Peer>, Vec<Peer>) {
    world.registry.image(Some("v1"), &["a", "b", "c", "d"]);
    let seeds = vec![world.seed("seed-1").await, world.seed("seed-2").await];
    let mut nodes = Vec::new();
    for n in 0..5 {
        let address = format!("10.0.1.{}", 20 + n);
        nodes.push(world.peer_at(&address, Role::Node, Uuid::new_v4()).await);
    }
    (seeds, nodes)
}

/// Verifies whatever comes; says which nodes got anything.
async fn work_off(world: &World, id: i64, seeds: &[Peer], nodes: &[Peer]) -> Vec<Uuid> {
    let mut reached = Vec::new();
    while !world.view(id).await.state.has_ended() {
        for peer in seeds.iter().chain(nodes) {
            let lots = peer.try_take(20).await.unwrap().lots;
            if !lots.is_empty() && peer.role == Role::Node {
                reached.push(peer.id);
            }
            peer.verify_all(&lots).await;
        }
    }
    reached.sort_unstable();
    reached
}

#[tokio::test]
async fn an_image_goes_to_as_many_peers_as_were_chosen_and_to_the_same_ones_again() {
    let world = World::start().await;
    let (seeds, nodes) = cluster(&world).await;
    let mut reached = Vec::new();
    for _ in 0..2 {
        let request = chosen(&world, Scope::AllPeers, PeerChoice::Percent(60));
        let id = world.submit_request(request).await;
        reached.push(work_off(&world, id, &seeds, &nodes).await);
        assert_eq!(world.view(id).await.state, PreheatState::Succeeded);
    }
    assert!((3..=5).contains(&reached[0].len()), "5 of 7 peers: {reached:?}");
    assert_eq!(reached[0], reached[1]);
}

#[tokio::test]
async fn only_peers_of_the_named_addresses_get_an_image() {
    let world = World::start().await;
    let (seeds, nodes) = cluster(&world).await;
    let request = chosen(&world, Scope::AllPeers, at(&["10.0.1.21", "::ffff:10.0.1.23"]));
    let id = world.submit_request(request).await;
    let mut expected = vec![nodes[1].id, nodes[3].id];
    expected.sort_unstable();
    assert_eq!(work_off(&world, id, &seeds, &nodes).await, expected);
    let view = world.view(id).await;
    assert_eq!((view.state, view.placements_total), (PreheatState::Succeeded, 18));
}

#[tokio::test]
async fn addresses_without_a_live_peer_fail_a_preheat_and_are_named() {
    let world = World::start().await;
    let (_seeds, _nodes) = cluster(&world).await;
    let request = chosen(
        &world,
        Scope::AllPeers,
        at(&["10.0.1.21", "10.0.1.99", "10.9.9.9"]),
    );
    let id = world.submit_request(request).await;
    let view = world.until_state(id, PreheatState::Failed).await;
    let reason = view.reason.unwrap();
    insta::assert_snapshot!(reason, @"all_peers has no live peer at 10.0.1.99, 10.9.9.9; see `stoker peers`, or name other addresses");
    assert_eq!((view.side, view.placements_total), (Some(Side::Caller), 0));
    let nodes_are_no_seeds = chosen(&world, Scope::AllSeedPeers, at(&["10.0.1.21"]));
    let id = world.submit_request(nodes_are_no_seeds).await;
    let reason = world.until_state(id, PreheatState::Failed).await.reason.unwrap();
    insta::assert_snapshot!(reason, @"all_seed_peers has no live peer at 10.0.1.21; see `stoker peers`, or name other addresses");
}

#[tokio::test]
async fn an_invalid_choice_is_refused_at_once() {
    let world = World::start().await;
    for (scope, peers, expected) in [
        (Scope::SingleSeedPeer, PeerChoice::Count(2), BadPeers::Single),
        (Scope::AllPeers, PeerChoice::Count(0), BadPeers::NoCount),
        (Scope::AllPeers, PeerChoice::Percent(101), BadPeers::Percent(101)),
    ] {
        let request = chosen(&world, scope, peers);
        let refused = preheat::submit(&world.preheater, None, request, None).await;
        assert!(
            matches!(&refused, Err(SubmitError::BadPeers(fault)) if *fault == expected),
            "{refused:?}"
        );
    }
}
