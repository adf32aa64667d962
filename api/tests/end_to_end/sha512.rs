//! Images with sha512 digests: held, verified and served under these very digests.
//!
//! docker-registry takes blobs with sha512 digests, and no such manifests. Those are served by a small registry of the
//! test.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use bytes::Bytes;
use tokio::task::JoinHandle;
use world::harbor::{State as PreheatState, Wish};
use world::image::artifact::{Artifact, Part, gzip, image_config, sha512_of, tar};
use world::sha256sum::{assert_seed_holds, seed_holds};
use world::{Manager, ManagerSpec, Peer, Registry};

use crate::plain_client::PlainClient;
use crate::{LIMIT, described, preheat, preheat_well, up};

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const DIGEST: &str = "docker-content-digest";
const REPOSITORY: &str = "library/app";

/// More than one chunk, so that there is something to hold back.
fn layer() -> Vec<u8> {
    let mut state = 7_u32;
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    });
    let noise: Vec<u8> = noise.take(3_000_000).collect();
    gzip(&tar(&[("data", &noise)]))
}

fn layers() -> Vec<(&'static str, Vec<u8>)> {
    vec![(LAYER, layer()), (LAYER, gzip(&tar(&[("small", b"x")])))]
}

/// A registry that knows one image, by its digests and by the tag `v1`, for anybody.
struct SmallRegistry {
    host: String,
    serving: JoinHandle<()>,
}

#[derive(Clone)]
struct Shelf {
    objects: Arc<HashMap<String, Part>>,
    root: String,
    /// What it says that the tag's digest is.
    named: String,
    knows_head: bool,
}

impl SmallRegistry {
    async fn start(artifact: &Artifact) -> Self {
        Self::of(artifact, &artifact.root().digest, true).await
    }

    async fn of(artifact: &Artifact, named: &str, knows_head: bool) -> Self {
        let objects = artifact.parts().iter();
        let shelf = Shelf {
            objects: Arc::new(objects.map(|part| (part.digest.clone(), part.clone())).collect()),
            root: artifact.root().digest.clone(),
            named: named.to_owned(),
            knows_head,
        };
        let routes = axum::Router::new()
            .route("/v2/", get(async || "{}"))
            .route("/v2/library/app/{kind}/{wanted}", get(send))
            .with_state(shelf);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let host = listener.local_addr().expect("an address").to_string();
        #[expect(clippy::disallowed_methods, reason = "a test's own server")]
        let serving = tokio::spawn(async move { drop(axum::serve(listener, routes).await) });
        Self { host, serving }
    }

    /// Its connections end with the last response.
    async fn stop(self) {
        self.serving.abort();
        let _ = self.serving.await;
    }

    fn config(&self) -> String {
        format!("[registry.\"{}\"]\nplain_http = true\n", self.host)
    }

    fn wish(&self, reference: &str) -> Wish {
        Wish::new(format!(
            "http://{}/v2/{REPOSITORY}/manifests/{reference}",
            self.host
        ))
    }
}

async fn send(
    State(shelf): State<Shelf>,
    method: Method,
    Path((_, wanted)): Path<(String, String)>,
) -> Response {
    if method == Method::HEAD && !shelf.knows_head {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let (digest, named) = match wanted.as_str() {
        "v1" => (&shelf.root, &shelf.named),
        digest => (&digest.to_owned(), &digest.to_owned()),
    };
    let Some(part) = shelf.objects.get(digest) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let headers = [
        ("content-type", part.media_type.clone()),
        ("content-length", part.bytes.len().to_string()),
        (DIGEST, named.clone()),
    ];
    let body = if method == Method::HEAD {
        Vec::new()
    } else {
        part.bytes.clone()
    };
    (headers, body).into_response()
}

async fn seed_and_node(config: &str) -> (Manager, Peer, Peer) {
    let manager = ManagerSpec::new().config(config).start().await;
    let seed = Peer::seed("seed-1", &manager).await;
    let node = Peer::node("node-1", &manager).await;
    (manager, seed, node)
}

/// What a node's front sends for each of these objects and for the tag: the exact bytes, under the exact digest.
async fn assert_serves(client: &PlainClient, artifact: &Artifact) {
    let root = artifact.root();
    let by_tag = client.ask(&format!("{REPOSITORY}/manifests/v1"), None).await;
    assert_eq!(by_tag.status(), StatusCode::OK);
    assert_eq!(by_tag.headers()[DIGEST], root.digest.as_str());
    assert_eq!(by_tag.bytes().await.expect("a manifest"), root.bytes);
    for part in artifact.parts() {
        let kind = if part.is_manifest { "manifests" } else { "blobs" };
        let sent = client
            .ask(&format!("{REPOSITORY}/{kind}/{}", part.digest), None)
            .await;
        assert_eq!(sent.status(), StatusCode::OK, "{}", part.digest);
        assert_eq!(sent.headers()[DIGEST], part.digest.as_str());
        assert_eq!(sent.bytes().await.expect("whole"), part.bytes, "{}", part.digest);
    }
}

/// A node seals an object after its readers have it.
async fn eventually_holds(node: &Peer, image: &Artifact) {
    world::eventually("the node holds the image", LIMIT, async || {
        seed_holds(&node.data_dir(), image.digests()).await.ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sha512_layers_on_a_real_registry_are_preheated_and_served_while_it_is_down() {
    let mut registry = Registry::plain().await;
    let image = Artifact::with_sha512_layers(image_config("linux/amd64", &[]), layers());
    registry.push_artifact(&image, REPOSITORY, "v1").await;
    let (manager, seed, node) = seed_and_node(&described(&registry, None)).await;
    let wish = Wish::new(registry.manifest_url(REPOSITORY, "v1")).scope("single_seed_peer");
    let poll = preheat_well(&manager, &wish).await;
    for digest in image.digests() {
        assert!(
            poll.digests().contains(&digest),
            "{digest} is not in Harbor's table"
        );
    }
    assert_seed_holds(&seed.data_dir(), image.digests()).await;
    registry.stop();
    assert_serves(&PlainClient::new(&node.front_url(), &registry), &image).await;
    eventually_holds(&node, &image).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_of_sha512_digests_alone_is_pulled_by_tag_and_by_digest_from_a_seed() {
    let image = Artifact::all_sha512(image_config("linux/amd64", &[]), layers());
    let registry = SmallRegistry::start(&image).await;
    let (mut manager, mut seed, node) = seed_and_node(&registry.config()).await;
    for reference in ["v1", &image.root().digest] {
        let poll = preheat_well(&manager, &registry.wish(reference).scope("single_seed_peer")).await;
        assert!(poll.digests().contains(&image.root().digest.as_str()));
    }
    assert_seed_holds(&seed.data_dir(), image.digests()).await;
    // What is in the stores and in the database is read again.
    manager.restart().await;
    seed.restart().await;
    let client = PlainClient::of_host(&node.front_url(), &registry.host);
    registry.stop().await;
    assert_serves(&client, &image).await;
    eventually_holds(&node, &image).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cold_pull_answers_with_the_registrys_sha512_digest() {
    let image = Artifact::all_sha512(image_config("linux/amd64", &[]), layers());
    for knows_head in [true, false] {
        let registry = SmallRegistry::of(&image, &image.root().digest, knows_head).await;
        let manager = ManagerSpec::new().config(&registry.config()).start_up().await;
        let client = PlainClient::of_host(&manager.front_url(), &registry.host);
        assert_serves(&client, &image).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_sha512_layer_fails_the_preheat_and_is_never_served_whole() {
    let image = Artifact::all_sha512(image_config("linux/amd64", &[]), layers());
    let right = image
        .parts()
        .iter()
        .find(|part| part.media_type == LAYER)
        .expect("a layer");
    let mut wrong = right.clone();
    // In the middle: neither the first nor the last chunk.
    wrong.bytes[1_500_000] ^= 1;
    let damaged = image.with_part(wrong.clone());
    let registry = SmallRegistry::start(&damaged).await;
    let manager = ManagerSpec::new().config(&registry.config()).start_up().await;
    let poll = preheat(&manager, &registry.wish("v1")).await;
    assert_eq!(poll.state, PreheatState::Failure);
    let client = PlainClient::of_host(&manager.front_url(), &registry.host);
    let sent = client
        .ask(&format!("{REPOSITORY}/blobs/{}", wrong.digest), None)
        .await;
    let status = sent.status();
    let whole: Option<Bytes> = sent.bytes().await.ok();
    assert!(
        !status.is_success() || whole.is_none(),
        "{status}: wrong bytes were sent to their end"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_digest_that_cannot_be_verified_is_refused_and_never_renamed() {
    let image = Artifact::all_sha512(image_config("linux/amd64", &[]), layers());
    for knows_head in [true, false] {
        let registry = SmallRegistry::of(&image, "blake3:00", knows_head).await;
        let manager = ManagerSpec::new().config(&registry.config()).start_up().await;
        let poll = preheat(&manager, &registry.wish("v1")).await;
        assert_eq!(poll.state, PreheatState::Failure);
        let errors = format!("{:?}", poll.errors);
        assert!(errors.contains("blake3 is not supported"), "{errors}");
        let client = PlainClient::of_host(&manager.front_url(), &registry.host);
        for path in ["manifests/v1", "manifests/blake3:00", "blobs/blake3:00"] {
            let refused = client.ask(&format!("{REPOSITORY}/{path}"), None).await;
            assert_eq!(refused.status(), StatusCode::NOT_FOUND, "{path}");
            let text = refused.text().await.expect("text");
            assert!(text.contains("UNSUPPORTED") && text.contains("blake3"), "{text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_objects_sha512_and_sha256_digests_are_two_names_that_do_not_open_each_other() {
    let registry = Registry::plain().await;
    let image = Artifact::with_sha512_layers(image_config("linux/amd64", &[]), layers());
    registry.push_artifact(&image, REPOSITORY, "v1").await;
    let manager = up(&registry).await;
    preheat_well(&manager, &Wish::new(registry.manifest_url(REPOSITORY, "v1"))).await;
    let renamed = sha512_of(&image.root().bytes);
    let client = PlainClient::new(&manager.front_url(), &registry);
    let refused = client
        .ask(&format!("{REPOSITORY}/manifests/{renamed}"), None)
        .await;
    assert_eq!(refused.status(), StatusCode::NOT_FOUND);
}
