//! Peers join, restart without their manager, and are removed: real programs, real TLS.

use world::harbor::Wish;
use world::{
    Containerd, Image, ImageSpec, LayerSpec, Manager, ManagerSpec, Peer, PeerSpec, Registry, eventually,
};

use crate::{LIMIT, described, preheat_well, transcript};

/// Log messages of peers that nothing else shows.
const LIST_LEARNED: &str = "list of removed peers learned";
const REMOVED: &str = "was removed";

struct Site {
    registry: Registry,
    manager: Manager,
    seed: Peer,
    node: Peer,
}

async fn site() -> Site {
    let registry = Registry::plain().await;
    let manager = ManagerSpec::new()
        .config(&described(&registry, None))
        .start()
        .await;
    let seed = Peer::seed("seed-1", &manager).await;
    let node = Peer::node("node-1", &manager).await;
    Site {
        registry,
        manager,
        seed,
        node,
    }
}

impl Site {
    async fn preheated(&self, number: u64) -> Image {
        let image = ImageSpec::new(number).layers([LayerSpec::of(3 << 20)]).build();
        let repository = format!("library/app-{number}");
        self.registry.push(&image, &repository, "v1").await;
        let wish = Wish::new(self.registry.manifest_url(&repository, "v1"));
        preheat_well(&self.manager, &wish).await;
        image
    }

    async fn pull(&self, number: u64) -> Result<(), String> {
        let containerd = Containerd::start().await;
        containerd.mirror_only(&self.registry, &self.node.front_url());
        let name = format!("{}/library/app-{number}:v1", self.registry.host());
        containerd.pull(&name, None).await.map(drop)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_that_restart_serve_each_other_without_manager_and_registry() {
    let mut site = site().await;
    site.preheated(71).await;
    let token = site.node.config_file().with_file_name("join.token");
    std::fs::remove_file(token).expect("used once");
    site.manager.kill9();
    site.registry.stop();
    site.seed.restart().await;
    site.node.restart().await;
    site.pull(71).await.expect("pulled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_node_gets_nothing_of_the_seed_within_seconds() {
    let mut site = site().await;
    site.preheated(72).await;
    site.preheated(73).await;
    site.pull(72).await.expect("pulled before");
    let removed = site
        .manager
        .stoker(&["peers", "remove", "node-1", "--with-token"])
        .await;
    let removed = transcript(&removed);
    assert!(
        removed.contains("node-1") && removed.contains("revoked"),
        "{removed}"
    );
    eventually("the seed has the list", LIMIT, async || {
        let log = site.seed.log();
        log.contains(LIST_LEARNED).then_some(())
    })
    .await;
    eventually("the node is told", LIMIT, async || {
        site.node.log().contains(REMOVED).then_some(())
    })
    .await;
    // Only the seed has it now, and does not give it to this node.
    site.registry.stop();
    site.pull(73).await.expect_err("given to a removed node");
    let again = PeerSpec::node("node-2").start(&site.manager).await;
    let containerd = Containerd::start().await;
    containerd.mirror_only(&site.registry, &again.front_url());
    let name = format!("{}/library/app-73:v1", site.registry.host());
    containerd
        .pull(&name, None)
        .await
        .expect("another node is served");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_may_not_join_ends_with_the_reason() {
    let manager = Manager::start().await;
    let elsewhere = Manager::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let token_in = |name: &str, text: String| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).expect("written");
        file
    };
    let used_up = manager
        .join_token("seed", "default", Some(uuid::Uuid::new_v4()))
        .await;
    let used_up = token_in("used-up", used_up);
    let _first = PeerSpec::seed("first")
        .join_token_file(&used_up)
        .start(&manager)
        .await;
    let foreign = token_in("foreign", elsewhere.join_token("node", "default", None).await);
    let node = token_in("node", manager.join_token("node", "default", None).await);
    for (spec, token, says) in [
        (PeerSpec::seed("second"), &used_up, "used up"),
        (
            PeerSpec::node("stranger"),
            &foreign,
            "not the manager of the join token",
        ),
        (
            PeerSpec::seed("pretender"),
            &node,
            "--seed differs from this peer's certificate",
        ),
        (
            PeerSpec::node("astray").cluster("edge"),
            &node,
            "--cluster edge differs from this peer's certificate",
        ),
    ] {
        let mut peer = spec.join_token_file(token).build(&manager).await;
        peer.launch();
        let ended = peer.wait_end(LIMIT).await;
        assert!(!ended.success());
        assert!(peer.log().contains(says), "{says} is not in\n{}", peer.log());
    }
}
