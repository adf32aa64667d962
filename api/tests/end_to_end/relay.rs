//! Nodes that miss at the same moment: one of them, through a seed, asks the registry.

use futures_util::future::join_all;
use world::{Containerd, Image, ImageSpec, LayerSpec, Manager, ManagerSpec, Peer, PeerSpec, Registry};

use crate::described;

const NODES: usize = 3;

struct Cluster {
    registry: Registry,
    seeds: Vec<Peer>,
    nodes: Vec<Peer>,
    _manager: Manager,
}

async fn cluster(seeds: usize) -> Cluster {
    let registry = Registry::plain().await;
    let manager = ManagerSpec::new()
        .config(&described(&registry, None))
        .start()
        .await;
    let names = (0..seeds).map(|number| PeerSpec::seed(&format!("seed-{number}")));
    let seeds = join_all(names.map(|seed| seed.start(&manager))).await;
    let names = (0..NODES).map(|number| PeerSpec::node(&format!("node-{number}")));
    let nodes = join_all(names.map(|node| node.start(&manager))).await;
    Cluster {
        registry,
        seeds,
        nodes,
        _manager: manager,
    }
}

fn sample() -> Image {
    let small = (0..5).map(|number| LayerSpec::of(20_000 + number));
    let layers = [LayerSpec::of(9 << 20), LayerSpec::of(3 << 20)];
    ImageSpec::new(61).layers(layers.into_iter().chain(small)).build()
}

async fn pull_through_all(cluster: &Cluster) {
    let name = format!("{}/library/app:v1", cluster.registry.host());
    join_all(cluster.nodes.iter().map(async |node| {
        let containerd = Containerd::start().await;
        containerd.mirror_only(&cluster.registry, &node.front_url());
        containerd.pull(&name, None).await.expect("pulled");
    }))
    .await;
}

async fn assert_one_get_an_object(cluster: &mut Cluster, image: &Image) {
    for digest in image.digests() {
        assert_eq!(cluster.registry.gets_of(digest).await, 1, "{digest}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_miss_at_once_cost_the_registry_one_get_an_object() {
    let mut cluster = cluster(1).await;
    let image = sample();
    cluster.registry.push(&image, "library/app", "v1").await;
    cluster.registry.forget_requests().await;
    pull_through_all(&cluster).await;
    assert_one_get_an_object(&mut cluster, &image).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_seed_is_passed_over_for_the_next_one() {
    let mut cluster = cluster(2).await;
    let image = sample();
    cluster.registry.push(&image, "library/app", "v1").await;
    cluster.seeds[0].kill9();
    cluster.registry.forget_requests().await;
    pull_through_all(&cluster).await;
    assert_one_get_an_object(&mut cluster, &image).await;
}
