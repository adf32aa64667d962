//! Images that are taken off, blocked and pinned, on real parts: manager, seed, node, registry, containerd.

use std::path::Path;

use serde_json::Value;
use world::harbor::Wish;
use world::sha256sum::{assert_seed_holds, sealed_path};
use world::{
    Containerd, Image, ImageSpec, LayerSpec, Manager, ManagerSpec, Peer, PeerSpec, Registry, eventually,
};

use crate::{LIMIT, described, preheat_well, transcript};

/// `image where` of an image that no peer holds.
const NOWHERE: &str = "No peer holds any of it";
const BAD: &str = "library/bad";
const GOOD: &str = "library/good";
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Two images that have their first layer in common.
fn images(seed: u64) -> (Image, Image) {
    let image = |own: u64| {
        let layers = [LayerSpec::of(300_000), LayerSpec::of(own)];
        ImageSpec::new(seed).layers(layers).build()
    };
    (image(70_000), image(90_000))
}

struct Site {
    registry: Registry,
    manager: Manager,
    seed: Peer,
    node: Peer,
}

impl Site {
    async fn start(store: &str) -> Self {
        let registry = Registry::plain().await;
        let manager = ManagerSpec::new()
            .config(&described(&registry, None))
            .start()
            .await;
        let seed = Peer::seed("seed-1", &manager).await;
        let node = PeerSpec::node("node-1").config(store).start(&manager).await;
        eventually("both peers are connected", LIMIT, async || {
            let peers = manager.get("/api/v1/peers").await;
            let alive = peers["peers"].as_array()?.iter();
            (alive.filter(|peer| peer["alive"] == true).count() == 2).then_some(())
        })
        .await;
        Self {
            registry,
            manager,
            seed,
            node,
        }
    }

    async fn preheat(&self, image: &Image, repository: &str) {
        self.registry.push(image, repository, "v1").await;
        let wish = Wish::new(self.registry.manifest_url(repository, "v1"));
        preheat_well(&self.manager, &wish.scope("all_peers")).await;
    }

    fn name(&self, repository: &str) -> String {
        format!("http://{}/{repository}:v1", self.registry.host())
    }

    /// `stoker` as a person types it; what it printed.
    async fn stoker(&self, arguments: &[&str]) -> String {
        let output = self.manager.stoker(arguments).await;
        assert!(output.status.success(), "{}", transcript(&output));
        String::from_utf8(output.stdout).expect("text")
    }

    /// What the node's front says to a runtime.
    async fn ask(&self, path: &str) -> (u16, String) {
        let url = format!("{}/v2/{path}?ns={}", self.node.front_url(), self.registry.host());
        let request = world::http::client(None).get(url).header("accept", OCI_MANIFEST);
        let answer = request.send().await.expect("an answer");
        let status = answer.status().as_u16();
        (status, answer.text().await.unwrap_or_default())
    }
}

fn is_there(peer: &Path, digest: &str) -> bool {
    sealed_path(peer, digest).exists()
}

/// The objects of one that the other does not have.
fn own<'a>(image: &'a Image, other: &Image) -> Vec<&'a str> {
    let others = other.digests();
    let mut own = image.digests();
    own.retain(|digest| !others.contains(digest));
    own
}

async fn gone(what: &str, peer: &Peer, digests: &[&str]) {
    eventually(what, LIMIT, async || {
        let data_dir = peer.data_dir();
        let any = digests.iter().any(|digest| is_there(&data_dir, digest));
        (!any).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recalled_image_goes_from_every_peer_also_later_and_is_refused_until_it_is_unblocked() {
    let mut site = Site::start("").await;
    let (bad, good) = images(501);
    site.preheat(&bad, BAD).await;
    site.preheat(&good, GOOD).await;
    let own_of_bad = own(&bad, &good);
    assert_eq!(own_of_bad.len(), 3, "manifest, config and one layer");
    site.node.stop().await;

    let name = site.name(BAD);
    let printed = site
        .stoker(&["image", "remove", &name, "--block", "--reason", "CVE-2026-1"])
        .await;
    assert!(
        printed.contains("3 objects") && printed.contains("1 stay"),
        "{printed}"
    );
    gone("the seed has let it go", &site.seed, &own_of_bad).await;
    assert_seed_holds(&site.seed.data_dir(), good.digests()).await;
    assert!(is_there(&site.node.data_dir(), own_of_bad[0]), "the node is away");

    site.node.start_again().await;
    gone("the node has let it go when it was back", &site.node, &own_of_bad).await;
    assert_seed_holds(&site.node.data_dir(), good.digests()).await;

    refused_everywhere(&site, &bad, &own_of_bad).await;
    pulled(&site, GOOD).await;

    // The node knows it by itself, too.
    site.node.stop().await;
    site.manager.kill9();
    site.node.start_again().await;
    refused_at_the_node(&site, &bad).await;
    site.manager.start_again().await;

    site.stoker(&["image", "unblock", &name]).await;
    eventually("the node hears that it is unblocked", LIMIT, async || {
        let (status, _) = site.ask(&format!("{BAD}/manifests/v1")).await;
        (status == 200).then_some(())
    })
    .await;
    pulled(&site, BAD).await;
    let lists = site.stoker(&["image", "blocks"]).await;
    assert!(!lists.contains(BAD), "{lists}");
}

async fn refused_everywhere(site: &Site, bad: &Image, own_of_bad: &[&str]) {
    refused_at_the_node(site, bad).await;
    for digest in own_of_bad {
        let (status, text) = site.ask(&format!("{BAD}/blobs/{digest}")).await;
        assert_eq!(status, 403, "{digest}: {text}");
    }
    let by_digest = format!("http://{}/{BAD}@{}", site.registry.host(), bad.root().digest);
    for name in [site.name(BAD), by_digest] {
        let refused = site.manager.stoker(&["preheat", &name]).await;
        assert!(!refused.status.success(), "{}", transcript(&refused));
        assert!(
            transcript(&refused).contains("blocked"),
            "{}",
            transcript(&refused)
        );
    }
    // Under another name only its digest tells.
    site.registry.push(bad, "library/alias", "v9").await;
    let alias = format!("http://{}/library/alias:v9", site.registry.host());
    let failed = site.manager.stoker(&["preheat", "--wait", &alias]).await;
    assert!(!failed.status.success(), "{}", transcript(&failed));
    assert!(transcript(&failed).contains("blocked"), "{}", transcript(&failed));
    let containerd = Containerd::start().await;
    containerd.mirror_only(&site.registry, &site.node.front_url());
    let name = format!("{}/library/alias:v9", site.registry.host());
    containerd
        .pull(&name, None)
        .await
        .expect_err("its digest is blocked");
}

async fn refused_at_the_node(site: &Site, bad: &Image) {
    for wanted in ["v1", bad.root().digest.as_str()] {
        let (status, text) = site.ask(&format!("{BAD}/manifests/{wanted}")).await;
        assert_eq!(status, 403, "{wanted}: {text}");
        let told: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(told["errors"][0]["code"], "DENIED");
        let message = told["errors"][0]["message"].as_str().expect("a text");
        assert!(
            message.contains("blocked") && message.contains("CVE-2026-1"),
            "{message}"
        );
    }
}

async fn pulled(site: &Site, repository: &str) {
    let containerd = Containerd::start().await;
    containerd.mirror_only(&site.registry, &site.node.front_url());
    let name = format!("{}/{repository}:v1", site.registry.host());
    containerd
        .pull(&name, None)
        .await
        .unwrap_or_else(|error| panic!("{name}: {error}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_image_that_is_not_blocked_may_come_back() {
    let site = Site::start("").await;
    let image = ImageSpec::small(502).build();
    site.preheat(&image, GOOD).await;
    let name = site.name(GOOD);
    site.stoker(&["image", "remove", &name]).await;
    gone("the seed has let it go", &site.seed, &image.digests()).await;
    gone("the node has let it go", &site.node, &image.digests()).await;
    let whereabouts = site.stoker(&["image", "where", &name]).await;
    let nobody = eventually("the manager has heard of it", LIMIT, async || {
        let now = site.stoker(&["image", "where", &name]).await;
        now.contains(NOWHERE).then_some(now)
    });
    nobody.await;
    assert!(whereabouts.contains("library/good"), "{whereabouts}");
    site.preheat(&image, GOOD).await;
    assert_seed_holds(&site.seed.data_dir(), image.digests()).await;
    assert_seed_holds(&site.node.data_dir(), image.digests()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pinned_image_stays_where_others_make_room() {
    let site = Site::start("[store]\nquota = \"3MiB\"").await;
    let pinned = ImageSpec::new(510).layers([LayerSpec::of(900_000)]).build();
    site.preheat(&pinned, "library/pinned").await;
    let name = site.name("library/pinned");
    let printed = site.stoker(&["image", "pin", &name, "--for", "30d"]).await;
    assert!(
        printed.contains("3 objects") && printed.contains("20"),
        "{printed}"
    );
    eventually("the node knows of the pin", LIMIT, async || {
        let notes = std::fs::read(site.node.data_dir().join("store/index.redb")).ok()?;
        let wanted = b"until_unix_ms";
        notes
            .windows(wanted.len())
            .any(|bytes| bytes == wanted)
            .then_some(())
    })
    .await;
    let mut others = Vec::new();
    for number in 0..4 {
        let image = ImageSpec::new(511 + number)
            .layers([LayerSpec::of(900_000)])
            .build();
        let repository = format!("library/other-{number}");
        site.preheat(&image, &repository).await;
        others.push(image);
    }
    assert_seed_holds(&site.node.data_dir(), pinned.digests()).await;
    assert_seed_holds(&site.node.data_dir(), others[3].digests()).await;
    let oldest = others[0].layers()[0].digest.as_str();
    assert!(!is_there(&site.node.data_dir(), oldest), "room was needed");
    pulled(&site, "library/pinned").await;

    let listed = site.stoker(&["image", "pins"]).await;
    assert!(listed.contains("library/pinned:v1"), "{listed}");
    site.stoker(&["image", "unpin", &name]).await;
    let again = site.manager.stoker(&["image", "unpin", &name]).await;
    assert_eq!(again.status.code(), Some(1), "{}", transcript(&again));
}
