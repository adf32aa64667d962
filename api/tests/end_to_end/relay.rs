//! Nodes that miss at the same moment: one of them, through a seed, asks the registry.

use futures_util::future::join_all;
use reqwest::StatusCode;
use world::registry::BearerSpec;
use world::{Containerd, Image, ImageSpec, LayerSpec, Manager, ManagerSpec, Peer, PeerSpec, Registry};

use crate::described;

/// Name and password.
type Account = (&'static str, &'static str);

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
    cluster_at(Registry::plain().await, seeds, nodes).await
}

async fn cluster_at(registry: Registry, seeds: usize, nodes: usize) -> Cluster {
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
    pull_from("library/app:v1", cluster, None).await;
}

async fn pull_from(image: &str, cluster: &Cluster, account: Option<Account>) {
    let name = format!("{}/{image}", cluster.registry.host());
    join_all(cluster.nodes.iter().map(async |node| {
        let containerd = Containerd::start().await;
        containerd.mirror_only(&cluster.registry, &node.front_url());
        containerd.pull(&name, account).await.expect("pulled");
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

/// Who may read what: each one's repository, and nobody else's.
const ANNA: Account = ("anna", "annas-word");
const BEN: Account = ("ben", "bens-word");

/// Two accounts with one repository each, which share an image; anna has another one, for herself.
async fn two_tenants() -> (Cluster, Image, Image) {
    let spec =
        BearerSpec::default()
            .user(ANNA.0, ANNA.1, &["team-a/app"])
            .user(BEN.0, BEN.1, &["team-b/app"]);
    let cluster = cluster_at(Registry::bearer(spec).await, 3, 5).await;
    let (shared, annas) = (sample(), ImageSpec::new(62).layer(LayerSpec::of(50_000)).build());
    for (image, repository, tag) in [
        (&shared, "team-a/app", "v1"),
        (&shared, "team-b/app", "v1"),
        (&annas, "team-a/app", "own"),
    ] {
        cluster.registry.push(image, repository, tag).await;
    }
    (cluster, shared, annas)
}

/// What the node's front answers to ben, by his token for his own repository.
async fn ben_asks(cluster: &Cluster, node: &Peer, path: &str) -> StatusCode {
    let token = cluster.registry.token_server().jwt_for(BEN.0, "team-b/app");
    let registry = cluster.registry.host().replace(':', "%3A");
    let url = format!("{}/v2/{path}?ns={registry}", node.front_url());
    let request = cluster.registry.client().get(url).bearer_auth(token);
    request.send().await.expect("answered").status()
}

async fn ben_gets_nothing_of(annas: &Image, cluster: &Cluster) {
    for node in &cluster.nodes {
        for repository in ["team-a/app", "team-b/app"] {
            for layer in annas.layers() {
                let path = format!("{repository}/blobs/{}", layer.digest);
                assert_ne!(ben_asks(cluster, node, &path).await, StatusCode::OK, "{path}");
            }
            let path = format!("{repository}/manifests/{}", annas.root().digest);
            assert_ne!(ben_asks(cluster, node, &path).await, StatusCode::OK, "{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_repository_brought_costs_one_small_comparison_in_the_whole_cluster() {
    let (mut cluster, image, annas) = two_tenants().await;
    pull_from("team-a/app:v1", &cluster, Some(ANNA)).await;
    pull_from("team-a/app:own", &cluster, Some(ANNA)).await;
    cluster.registry.forget_requests().await;
    for _ in 0..2 {
        pull_from("team-b/app:v1", &cluster, Some(BEN)).await;
        for object in image.objects() {
            let gets = gets_in(&mut cluster.registry, "team-b/app", &object.digest).await;
            // Four ranges of a large object, all of a small one; the image's root is asked for by its tag too.
            let at_most = if object.size > 256 * 1024 { 4 } else { 1 };
            assert!(gets <= at_most, "{} was asked for {gets} times", object.digest);
            assert!(gets > 0, "{} was given without a comparison", object.digest);
        }
        ben_gets_nothing_of(&annas, &cluster).await;
    }
    for object in image.objects().iter().chain(annas.objects()) {
        let gets = gets_in(&mut cluster.registry, "team-a/app", &object.digest).await;
        assert_eq!(gets, 0, "{} of the other repository", object.digest);
    }
}
