//! What each scope promises, on several seeds and nodes.

use world::harbor::Wish;
use world::sha256sum::{assert_seed_holds, sealed_digests};
use world::{Containerd, Image, ImageSpec, LayerSpec, Manager, ManagerSpec, Peer, Registry};

use crate::{assert_lists, described, preheat_well};

fn two_platforms(seed: u64) -> Image {
    ImageSpec::new(seed)
        .platforms(["linux/amd64", "linux/arm64"])
        .layers([
            LayerSpec::of(2 << 20),
            LayerSpec::of(300_000),
            LayerSpec::of(4_000),
        ])
        .build()
}

struct Site {
    registry: Registry,
    manager: Manager,
    seeds: Vec<Peer>,
    nodes: Vec<Peer>,
}

async fn site(seeds: usize, nodes: usize, image: &Image) -> Site {
    let registry = Registry::plain().await;
    registry.push(image, "library/app", "v1").await;
    let manager = ManagerSpec::new()
        .config(&described(&registry, None))
        .start()
        .await;
    let mut site = Site {
        registry,
        manager,
        seeds: Vec::new(),
        nodes: Vec::new(),
    };
    for n in 0..seeds {
        site.seeds
            .push(Peer::seed(&format!("seed-{n}"), &site.manager).await);
    }
    for n in 0..nodes {
        site.nodes
            .push(Peer::node(&format!("node-{n}"), &site.manager).await);
    }
    wait_for_peers(&site.manager, seeds + nodes).await;
    site
}

/// A plan is made over the peers that have registered.
async fn wait_for_peers(manager: &Manager, count: usize) {
    world::eventually("every peer is connected", crate::LIMIT, async || {
        let peers = manager.get("/api/v1/peers").await;
        let alive = peers["peers"]
            .as_array()?
            .iter()
            .filter(|peer| peer["alive"] == true)
            .count();
        (alive == count).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_seed_peers_means_every_object_on_every_seed() {
    let image = two_platforms(11);
    let mut site = site(3, 0, &image).await;
    site.registry.forget_requests().await;
    let wish = Wish::new(site.registry.manifest_url("library/app", "v1")).scope("all_seed_peers");
    let poll = preheat_well(&site.manager, &wish).await;
    assert_lists(&poll, &image);
    assert_eq!(
        poll.rows.len(),
        image.digests().len() * 3,
        "a row for each object and seed"
    );
    for seed in &site.seeds {
        assert_seed_holds(&seed.data_dir(), image.digests()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_peers_means_everywhere_and_the_registry_gives_each_object_once() {
    let image = two_platforms(12);
    let mut site = site(2, 3, &image).await;
    site.registry.forget_requests().await;
    let wish = Wish::new(site.registry.manifest_url("library/app", "v1")).scope("all_peers");
    preheat_well(&site.manager, &wish).await;
    for peer in site.seeds.iter().chain(&site.nodes) {
        assert_seed_holds(&peer.data_dir(), image.digests()).await;
    }
    for layer in image.layers() {
        assert_eq!(
            site.registry.gets_of(&layer.digest).await,
            1,
            "GETs of layer {}",
            layer.digest
        );
    }
    for object in image.of_kind(world::image::Kind::Config) {
        assert_eq!(
            site.registry.gets_of(&object.digest).await,
            1,
            "GETs of config {}",
            object.digest
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn single_seed_peer_spreads_the_objects_and_a_node_finds_them_with_manager_and_registry_down() {
    let image = two_platforms(13);
    let mut site = site(3, 1, &image).await;
    preheat_well(
        &site.manager,
        &Wish::new(site.registry.manifest_url("library/app", "v1")),
    )
    .await;
    for digest in image.digests() {
        let holders = site
            .seeds
            .iter()
            .filter(|seed| sealed_digests(&seed.data_dir()).iter().any(|held| held == digest));
        assert_eq!(holders.count(), 1, "seeds that hold {digest}");
    }
    assert!(
        sealed_digests(&site.nodes[0].data_dir()).is_empty(),
        "the node was not asked to hold anything"
    );

    site.manager.stop().await;
    site.registry.stop();
    let containerd = Containerd::start().await;
    containerd.mirror_only(&site.registry, &site.nodes[0].front_url());
    let name = format!("{}/library/app:v1", site.registry.host());
    containerd
        .pull(&name, None)
        .await
        .expect("pulled by tag from the seeds");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preheat_without_a_seed_fails_with_that_reason() {
    let registry = Registry::plain().await;
    registry
        .push(&ImageSpec::small(14).build(), "library/app", "v1")
        .await;
    let manager = ManagerSpec::new()
        .config(&described(&registry, None))
        .config("[timeouts]\nno_seed_limit = \"3s\"\n")
        .start()
        .await;
    let poll = crate::preheat(&manager, &Wish::new(registry.manifest_url("library/app", "v1"))).await;
    assert_eq!(poll.state, world::harbor::State::Failure);
    assert!(poll.errors.join(" ").contains("seed"), "{:?}", poll.errors);
}
