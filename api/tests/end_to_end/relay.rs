//! Nodes that miss at the same moment: one of them, through a seed, asks the registry.

use futures_util::future::join_all;
use world::{Containerd, Image, ImageSpec, LayerSpec, Manager, ManagerSpec, Peer, PeerSpec, Registry};

use crate::described;

struct Cluster {
    registry: Registry,
    seeds: Vec<Peer>,
    nodes: Vec<Peer>,
    _manager: Manager,
}

async fn cluster(seeds: usize) -> Cluster {
    cluster_of(seeds, 3).await
}

async fn cluster_of(seeds: usize, nodes: usize) -> Cluster {
    let registry = Registry::plain().await;
    let manager = ManagerSpec::new()
        .config(&described(&registry, None))
        .start()
        .await;
    let names = (0..seeds).map(|number| PeerSpec::seed(&format!("seed-{number}")));
    let seeds = join_all(names.map(|seed| seed.start(&manager))).await;
    let names = (0..nodes).map(|number| PeerSpec::node(&format!("node-{number}")));
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
    pull_from("library/app", cluster).await;
}

async fn pull_from(repository: &str, cluster: &Cluster) {
    let name = format!("{}/{repository}:v1", cluster.registry.host());
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

/// GETs of one object in one repository, by the registry's own log.
async fn gets_in(registry: &mut Registry, repository: &str, digest: &str) -> usize {
    let below = format!("/v2/{repository}/");
    let requests = registry.requests().await;
    let asked = requests
        .iter()
        .filter(|request| request.is_get_of(digest) && request.path().starts_with(&below));
    asked.count()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_repository_brought_costs_one_small_comparison_in_the_whole_cluster() {
    let mut cluster = cluster_of(3, 5).await;
    let image = sample();
    for repository in ["team-a/app", "team-b/app"] {
        cluster.registry.push(&image, repository, "v1").await;
    }
    pull_from("team-a/app", &cluster).await;
    cluster.registry.forget_requests().await;
    for _ in 0..2 {
        pull_from("team-b/app", &cluster).await;
        for object in image.objects() {
            let gets = gets_in(&mut cluster.registry, "team-b/app", &object.digest).await;
            // Four ranges of a large object, all of a small one; the image's root is asked for by its tag too.
            let at_most = if object.size > 256 * 1024 { 4 } else { 1 };
            assert!(gets <= at_most, "{} was asked for {gets} times", object.digest);
            assert!(gets > 0, "{} was given without a comparison", object.digest);
        }
    }
    for object in image.objects() {
        let gets = gets_in(&mut cluster.registry, "team-a/app", &object.digest).await;
        assert_eq!(gets, 0, "{} of the other repository", object.digest);
    }
}
