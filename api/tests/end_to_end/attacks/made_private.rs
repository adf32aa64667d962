//! An image that anybody could pull when it was preheated, and that is made private at the registry later.

use reqwest::StatusCode;
use reqwest::header::ACCEPT;
use world::harbor::Wish;
use world::registry::{BearerSpec, USER};
use world::{Containerd, Image, ImageSpec, ManagerSpec, Peer, PeerSpec, Registry};

use crate::{LIMIT, described, preheat_well};

const REPOSITORY: &str = "public/app";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const AGES_FAST: &str = "public_kept = \"15s\"\nyes_kept = \"1s\"\n";

struct World {
    registry: Registry,
    image: Image,
    node: Peer,
    _seed: Peer,
    _manager: world::Manager,
}

impl World {
    async fn new() -> Self {
        let registry = Registry::bearer(BearerSpec::default().public(REPOSITORY)).await;
        let image = ImageSpec::small(65).build();
        registry.push(&image, REPOSITORY, "v1").await;
        let manager = ManagerSpec::new()
            .config(&described(&registry, None))
            .start()
            .await;
        let seed = PeerSpec::seed("seed").config(AGES_FAST).start(&manager).await;
        let node = PeerSpec::node("node").config(AGES_FAST).start(&manager).await;
        let wish = Wish::new(registry.manifest_url(REPOSITORY, "v1"));
        preheat_well(&manager, &wish.scope("all_peers")).await;
        Self {
            registry,
            image,
            node,
            _seed: seed,
            _manager: manager,
        }
    }

    fn paths(&self) -> Vec<String> {
        let layers = self.image.layers().into_iter();
        let blobs = layers.map(|layer| format!("blobs/{}", layer.digest));
        let root = format!("manifests/{}", self.image.root().digest);
        blobs.chain([root, "manifests/v1".to_owned()]).collect()
    }

    async fn ask(&self, path: &str, token: Option<&str>) -> StatusCode {
        let registry = self.registry.host().replace(':', "%3A");
        let url = format!("{}/v2/{REPOSITORY}/{path}?ns={registry}", self.node.front_url());
        let mut request = world::http::client(None).get(url).header(ACCEPT, MANIFEST);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        request.send().await.expect("answered").status()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_was_made_private_is_not_given_to_anybody_once_the_record_has_aged() {
    let world = World::new().await;
    for path in world.paths().iter().filter(|path| !path.ends_with("v1")) {
        assert_eq!(world.ask(path, None).await, StatusCode::OK, "{path}: public");
    }
    world.registry.token_server().make_private(REPOSITORY);
    for path in world.paths() {
        let wait = format!("{path} is refused");
        world::eventually(&wait, LIMIT, async || {
            let status = world.ask(&path, None).await;
            (status == StatusCode::UNAUTHORIZED).then_some(())
        })
        .await;
    }
    // Nor with the token that anybody gets.
    let containerd = Containerd::start().await;
    containerd.mirror_only(&world.registry, &world.node.front_url());
    let name = format!("{}/{REPOSITORY}:v1", world.registry.host());
    assert!(containerd.pull(&name, None).await.is_err(), "an anonymous pull");
    let token = world.registry.token_server().jwt_for(USER, REPOSITORY);
    for path in world.paths() {
        let status = world.ask(&path, Some(&token)).await;
        assert_eq!(status, StatusCode::OK, "{path}: to who may read it");
    }
}
