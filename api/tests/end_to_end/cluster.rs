//! Eight nodes on machines of their own pull one image at the same moment: the registry sees each object once.

use futures_util::future::join_all;
use world::{Host, Image, ImageSpec, LayerSpec, Manager, ManagerSpec, Net, Peer, PeerSpec, Registry};

use crate::described;
use crate::plain_client::PlainClient;

const NODES: usize = 8;
const LARGE: u64 = 8 << 20;

struct Cluster {
    registry: Registry,
    seeds: Vec<Peer>,
    nodes: Vec<Peer>,
    _manager: Manager,
    _hosts: Vec<Host>,
}

async fn cluster() -> Cluster {
    let net = Net::new();
    let machine = net.host();
    let registry = Registry::plain_on(&machine).await;
    let center = net.host();
    let manager = ManagerSpec::new()
        .config(&described(&registry, None))
        .on(&center)
        .start()
        .await;
    let mut hosts = vec![machine, center];
    let mut seeds = Vec::new();
    let mut nodes = Vec::new();
    for number in 0..2 + NODES {
        let host = net.host();
        let spec = match number {
            0 | 1 => PeerSpec::seed(&format!("seed-{number}")),
            _ => PeerSpec::node(&format!("node-{number}")),
        };
        let peer = spec.on(&host).start(&manager).await;
        hosts.push(host);
        if number < 2 {
            seeds.push(peer);
        } else {
            nodes.push(peer);
        }
    }
    Cluster {
        registry,
        seeds,
        nodes,
        _manager: manager,
        _hosts: hosts,
    }
}

fn five_large_and_fifty_small() -> Image {
    let large = (0..5).map(|number| LayerSpec::of(LARGE + number));
    let small = (0..50).map(|number| LayerSpec::of(10_000 + number));
    ImageSpec::new(91).layers(large.chain(small)).build()
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_nodes_that_pull_at_once_cost_the_registry_one_get_an_object() {
    let mut cluster = cluster().await;
    let image = five_large_and_fifty_small();
    cluster.registry.push(&image, "library/app", "v1").await;
    cluster.registry.forget_requests().await;
    let pulls = cluster.nodes.iter().map(async |node| {
        let client = PlainClient::new(&node.front_url(), &cluster.registry);
        client.pull_whole("library/app", "v1").await
    });
    assert_eq!(join_all(pulls).await, [56; NODES]);
    let mut asked_again = Vec::new();
    for digest in image.digests() {
        let gets = cluster.registry.gets_of(digest).await;
        if gets != 1 {
            asked_again.push((digest, gets));
        }
    }
    assert!(asked_again.is_empty(), "{asked_again:?}");
    drop(cluster.seeds);
}
