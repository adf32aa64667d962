//! `explain` and `image where` with real programs: the verdict matches what happened.

use std::process::Command;

use serde_json::Value;
use world::harbor::{State, Wish};
use world::programs::binary;
use world::{Containerd, Image, ImageSpec, LayerSpec, Manager, ManagerSpec, Peer, Registry, eventually};

use crate::{LIMIT, described, preheat, preheat_well};

const REPOSITORY: &str = "library/app";
/// `image where` of a peer that holds every object.
const WHOLE: &str = "all of it";

/// A registry, a manager, a seed and a node.
struct Site {
    registry: Registry,
    manager: Manager,
    seed: Peer,
    node: Peer,
}

impl Site {
    async fn start() -> Self {
        let registry = Registry::plain().await;
        let manager = ManagerSpec::new()
            .config(&described(&registry, None))
            .start()
            .await;
        let seed = Peer::seed("seed-1", &manager).await;
        let node = Peer::node("node-1", &manager).await;
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

    /// As a person names it.
    fn image(&self) -> String {
        format!("{}/{REPOSITORY}:v1", self.registry.host())
    }

    async fn push(&self, image: &Image) {
        self.registry.push(image, REPOSITORY, "v1").await;
    }

    fn wish(&self) -> Wish {
        Wish::new(self.registry.manifest_url(REPOSITORY, "v1"))
    }

    async fn preheat_everywhere(&self) {
        preheat_well(&self.manager, &self.wish().scope("all_peers")).await;
    }

    async fn explain(&self) -> Value {
        let path = format!("/api/v1/explain?image={}&node=node-1", self.image());
        self.manager.get(&path).await
    }

    async fn pull(&self) {
        let containerd = Containerd::start().await;
        containerd.mirror_only(&self.registry, &self.node.front_url());
        containerd.pull(&self.image(), None).await.expect("pulled");
    }

    /// `stoker` as a person types it; what it printed.
    async fn stoker(&self, arguments: &[&str]) -> String {
        let output = self.manager.stoker(arguments).await;
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).expect("text")
    }
}

fn image(seed: u64) -> Image {
    ImageSpec::new(seed)
        .layers([LayerSpec::of(2 << 20), LayerSpec::of(60_000)])
        .build()
}

fn verdict(explained: &Value) -> &str {
    explained["verdict"].as_str().unwrap_or_default()
}

fn says(explained: &Value) -> &str {
    explained["says"].as_str().unwrap_or_default()
}

/// The object's part of the explanation.
fn object<'a>(explained: &'a Value, digest: &str) -> &'a Value {
    let objects = explained["objects"].as_array().expect("objects");
    let found = objects.iter().find(|object| object["digest"] == digest);
    found.unwrap_or_else(|| panic!("{digest} is not in {explained:#}"))
}

fn states(explained: &Value) -> Vec<&str> {
    let objects = explained["objects"].as_array().expect("objects");
    objects
        .iter()
        .filter_map(|object| object["state"].as_str())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn preheated_and_pulled_from_the_store() {
    let site = Site::start().await;
    let image = image(201);
    site.push(&image).await;
    site.preheat_everywhere().await;

    let before = site.explain().await;
    assert_eq!(verdict(&before), "whole_not_pulled_yet", "{before:#}");
    site.pull().await;
    let after = site.explain().await;
    assert_eq!(verdict(&after), "whole_pulled_from_store", "{after:#}");
    assert_eq!(after["share"]["whole"], true);
    assert_eq!(states(&after), vec!["there"; image.objects().len()]);
    assert_eq!(after["registry"]["state"], "answers");
    let root = image.root().digest.as_str();
    for who in ["now", "preheated", "on_node"] {
        assert_eq!(after["reference"][who], root, "{who}: {after:#}");
    }
    assert_eq!(after["preheat"]["asked_by"], "harbor", "{after:#}");
    assert_eq!(after["preheat"]["token"], "admin");
    let preheat = site.manager.get("/api/v1/preheats/1").await;
    assert_eq!(after["preheat"]["trace_id"], preheat["trace_id"]);
    for layer in image.layers() {
        let pulls = after["pulls"].as_array().expect("pulls");
        let pull = pulls.iter().find(|pull| pull["digest"] == layer.digest.as_str());
        let pull = pull.unwrap_or_else(|| panic!("no pull of {}: {after:#}", layer.digest));
        assert_eq!(
            (&pull["result"], &pull["bytes"]),
            (&"hit".into(), &layer.size.into())
        );
    }

    let printed = site.stoker(&["explain", &site.image(), "--node", "node"]).await;
    assert!(
        printed
            .lines()
            .next()
            .is_some_and(|line| line.ends_with(" whole_pulled_from_store")),
        "{printed}"
    );
    assert!(printed.contains(root) && printed.contains("store"), "{printed}");
    let json = site
        .stoker(&["explain", &site.image(), "--node", "node-1", "--json"])
        .await;
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(verdict(&json), "whole_pulled_from_store");
    // Peers tell what they hold a moment after they have settled it.
    eventually("seed and node are listed with all of it", LIMIT, async || {
        let printed = site.stoker(&["image", "where", &site.image()]).await;
        let has_all = |peer| {
            let line = printed.lines().find(|line| line.starts_with(peer));
            line.is_some_and(|line| line.contains(WHOLE))
        };
        ["seed-1", "node-1"].into_iter().all(has_all).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_that_came_from_a_seed_names_the_seed() {
    let site = Site::start().await;
    site.push(&image(202)).await;
    preheat_well(&site.manager, &site.wish()).await;
    let before = site.explain().await;
    assert_eq!(verdict(&before), "not_in_scope", "{before:#}");
    assert!(says(&before).contains("single_seed_peer"), "{}", says(&before));
    site.pull().await;
    let after = site.explain().await;
    assert_eq!(verdict(&after), "whole_pulled_from_peers", "{after:#}");
    assert!(says(&after).contains("seed-1"), "{}", says(&after));
}

#[tokio::test(flavor = "multi_thread")]
async fn never_preheated() {
    let site = Site::start().await;
    let image = image(203);
    site.push(&image).await;
    let explained = site.explain().await;
    assert_eq!(verdict(&explained), "never_preheated", "{explained:#}");
    assert_eq!(explained["preheat"], Value::Null);
    assert_eq!(explained["reference"]["now"], image.root().digest.as_str());
    assert_eq!(states(&explained), vec!["never_asked"; image.objects().len()]);

    let mut other = Registry::plain().await;
    let path = format!("/api/v1/explain?image=http://{}/a/b:1&node=node-1", other.host());
    let explained = site.manager.get(&path).await;
    assert_eq!(verdict(&explained), "never_preheated");
    assert_eq!(explained["registry"]["state"], "not_asked", "{explained:#}");
    let asked = other.requests().await;
    assert!(
        asked.is_empty(),
        "a registry that nobody configured was dialled: {asked:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn removed_from_the_store_since() {
    let site = Site::start().await;
    let image = image(204);
    site.push(&image).await;
    site.preheat_everywhere().await;
    let layer = &image.layers()[0].digest;
    store_remove(&site.node, layer);

    let explained = site.explain().await;
    assert_eq!(verdict(&explained), "removed_since", "{explained:#}");
    let object = object(&explained, layer);
    assert_eq!(object["state"], "removed", "{object}");
    assert!(object["at"].is_string(), "{object}");
    assert_eq!(explained["share"]["objects_there"], image.objects().len() - 1);
}

/// As the node's owner does it while the peer runs.
fn store_remove(peer: &Peer, digest: &str) {
    let output = Command::new(binary("stoker-peer"))
        .args(["store", "remove", digest, "--data-dir"])
        .arg(peer.data_dir())
        .args(["--admin", peer.admin_url().trim_start_matches("http://")])
        .env_clear()
        .output()
        .expect("run");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tag_has_moved() {
    let site = Site::start().await;
    let shared = LayerSpec::of(1 << 20).shared();
    let [old, new] = [2_u64, 3].map(|layers| {
        let spec = ImageSpec::new(205).layer(shared);
        (1..layers)
            .fold(spec, |spec, _| spec.layer(LayerSpec::of(40_000)))
            .build()
    });
    site.push(&old).await;
    site.preheat_everywhere().await;
    site.push(&new).await;

    let explained = site.explain().await;
    assert_eq!(verdict(&explained), "tag_moved", "{explained:#}");
    let reference = &explained["reference"];
    assert_eq!(reference["now"], new.root().digest.as_str());
    assert_eq!(reference["preheated"], old.root().digest.as_str());
    let others: Vec<_> = new
        .digests()
        .into_iter()
        .filter(|digest| !old.digests().contains(digest))
        .collect();
    assert!(
        !others.is_empty() && others.len() < new.objects().len(),
        "the images share something"
    );
    assert_eq!(reference["objects_moved"], others.len());
    for digest in new.digests() {
        let expected = if others.contains(&digest) {
            "tag_moved"
        } else {
            "there"
        };
        assert_eq!(object(&explained, digest)["state"], expected, "{digest}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_layer_failed() {
    let site = Site::start().await;
    let image = image(206);
    site.push(&image).await;
    let layer = &image.layers()[0].digest;
    site.registry.lose(layer);
    let poll = preheat(&site.manager, &site.wish().scope("all_peers")).await;
    assert_eq!(poll.state, State::Failure);

    let explained = site.explain().await;
    assert_eq!(verdict(&explained), "object_failed", "{explained:#}");
    assert!(
        says(&explained).contains(layer.get(..19).expect("a digest")),
        "{}",
        says(&explained)
    );
    let object = object(&explained, layer);
    assert_eq!(object["state"], "failed", "{object}");
    assert!(
        object["reason"]
            .as_str()
            .is_some_and(|reason| reason.contains("seed-1")),
        "{object}"
    );
    assert_eq!(object["side"], "registry", "{object}");
    let there = states(&explained)
        .iter()
        .filter(|state| **state == "there")
        .count();
    assert_eq!(there, image.objects().len() - 1, "{explained:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_is_down() {
    let mut site = Site::start().await;
    site.push(&image(207)).await;
    site.preheat_everywhere().await;
    site.node.kill9();
    let explained = site.explain().await;
    assert_eq!(verdict(&explained), "node_down", "{explained:#}");
    assert_eq!(explained["node"]["answers"], false);
    assert!(explained["node"]["silence"].is_string());
    assert_eq!(explained["pulls"], Value::Array(Vec::new()));
    let seed = format!("/api/v1/explain?image={}&node=seed-1", site.image());
    let seed = site.manager.get(&seed).await;
    assert_eq!(
        verdict(&seed),
        "whole_not_pulled_yet",
        "another peer answers: {seed:#}"
    );
    assert!(site.seed.is_running());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_registry_is_down() {
    let mut site = Site::start().await;
    let image = image(208);
    site.push(&image).await;
    site.preheat_everywhere().await;
    site.registry.stop();
    let explained = site.explain().await;
    assert_eq!(verdict(&explained), "whole_not_pulled_yet", "{explained:#}");
    assert_eq!(explained["registry"]["state"], "silent", "{explained:#}");
    assert_eq!(explained["reference"]["now"], Value::Null);
    assert_eq!(explained["reference"]["preheated"], image.root().digest.as_str());
    let printed = site.stoker(&["explain", &site.image(), "--node", "node-1"]).await;
    assert!(printed.contains("whole_not_pulled_yet"), "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_name_is_refused_with_the_known_ones() {
    let site = Site::start().await;
    let image = site.image();
    for (arguments, expected) in [
        (vec!["explain", &image, "--node", "nodd-1"], "node-1"),
        (vec!["explain", &image, "--node", ""], "node-1"),
        (vec!["explain", "NOT AN IMAGE", "--node", "node-1"], "`image`"),
        (vec!["image", "where", "other.lan/a/b:1"], "other.lan"),
    ] {
        let output = site.manager.stoker(&arguments).await;
        let printed = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !output.status.success() && printed.contains(expected),
            "{arguments:?}: {printed}"
        );
    }
}
