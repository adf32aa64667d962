//! One preheat over `http://` of a registry that is used over HTTPS: somebody on the path answers it.

use reqwest::StatusCode;
use reqwest::header::{ACCEPT, AUTHORIZATION};
use serde_json::{Value, json};
use world::registry::{PASSWORD, SignIn, USER};
use world::{Image, ImageSpec, Manager, ManagerSpec, Peer, PeerSpec, Registry, TwoDoors};

use crate::LIMIT;

const REPOSITORY: &str = "team-a/app";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// A registry with HTTPS and passwords that nobody has configured, and on the same port somebody who speaks plain HTTP
/// and has another image under the same name.
struct World {
    doors: TwoDoors,
    right: Image,
    evil: Image,
    manager: Manager,
    node: Peer,
    _seed: Peer,
    _registries: [Registry; 2],
    _authority: tempfile::NamedTempFile,
}

impl World {
    async fn new() -> Self {
        let tls = Registry::with(SignIn::Basic, true).await;
        let plain = Registry::plain().await;
        let (right, evil) = (ImageSpec::small(63).build(), ImageSpec::small(64).build());
        tls.push(&right, REPOSITORY, "v1").await;
        plain.push(&evil, REPOSITORY, "v1").await;
        let doors = TwoDoors::before(&tls, &plain).await;
        let authority = tempfile::NamedTempFile::new().expect("a file");
        let pem = tls.ca_pem().expect("an authority");
        std::fs::write(authority.path(), pem).expect("written");
        let trusted = authority.path().display().to_string();
        let trust = ("SSL_CERT_FILE", trusted.as_str());
        let manager = ManagerSpec::new().environment(trust.0, trust.1).start().await;
        let seed = PeerSpec::seed("seed").environment(trust.0, trust.1);
        let node = PeerSpec::node("node").environment(trust.0, trust.1);
        Self {
            _seed: seed.start(&manager).await,
            node: node.start(&manager).await,
            doors,
            right,
            evil,
            manager,
            _registries: [tls, plain],
            _authority: authority,
        }
    }

    async fn preheat(&self, scheme: &str, credential: Option<Value>) -> String {
        let image = format!("{scheme}://{}/{REPOSITORY}:v1", self.doors.host());
        let mut body = json!({ "image": image });
        if let Some(credential) = credential {
            body["credential"] = credential;
        }
        let made = self.manager.post("/api/v1/preheats", &body).await;
        let path = format!("/api/v1/preheats/{}", made["id"]);
        world::eventually("the preheat has ended", LIMIT, async || {
            let view = self.manager.get(&path).await;
            let state = view["state"].as_str().expect("a state").to_owned();
            ["succeeded", "failed"].contains(&state.as_str()).then_some(state)
        })
        .await
    }

    /// As containerd asks: the registry has no scheme.
    async fn pull(&self, path: &str) -> (StatusCode, Vec<u8>) {
        let registry = self.doors.host().replace(':', "%3A");
        let url = format!("{}/v2/{REPOSITORY}/{path}?ns={registry}", self.node.front_url());
        let request = world::http::client(None).get(url).header(ACCEPT, MANIFEST);
        let answer = request.header(AUTHORIZATION, right()).send().await;
        let answer = answer.expect("answered");
        (answer.status(), answer.bytes().await.unwrap_or_default().to_vec())
    }
}

fn right() -> String {
    use base64::Engine as _;
    let pair = format!("{USER}:{PASSWORD}");
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preheat_over_http_leaves_a_registry_with_https_as_it_is_at_the_nodes() {
    let world = World::new().await;
    let credential = json!({ "username": USER, "password": PASSWORD });
    assert_eq!(world.preheat("https", Some(credential)).await, "succeeded");
    assert_eq!(world.doors.sent_in_clear(), "", "HTTPS alone so far");
    assert_eq!(
        world.preheat("http", None).await,
        "succeeded",
        "or this test shows nothing"
    );
    assert!(!world.doors.sent_in_clear().is_empty());
    // Nodes are told within two seconds; what they are not told cannot be waited for, so they are asked twice.
    for _ in 0..2 {
        tokio::time::sleep(std::time::Duration::from_secs(3)).await;
        let (status, body) = world.pull("manifests/v1").await;
        assert_eq!(status, StatusCode::OK);
        let root = world.right.root();
        assert!(
            body == world.right.bytes(&root.digest),
            "the tag means the right image"
        );
        for layer in world.right.layers() {
            let (status, _) = world.pull(&format!("blobs/{}", layer.digest)).await;
            assert_eq!(status, StatusCode::OK);
        }
        for layer in world.evil.layers() {
            let (status, _) = world.pull(&format!("blobs/{}", layer.digest)).await;
            assert_ne!(status, StatusCode::OK);
        }
    }
    let in_clear = world.doors.sent_in_clear();
    assert!(!in_clear.contains("authorization"), "{in_clear}");
}
