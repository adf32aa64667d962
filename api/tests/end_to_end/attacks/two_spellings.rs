//! A manifest with one key in two spellings: the registry, written in Go, reads the last one and takes the push; we
//! compare keys letter by letter. A private layer hides in the one that the registry does not read.

use reqwest::StatusCode;
use reqwest::header::ACCEPT;
use world::harbor::{State, Wish};
use world::image::artifact::{Artifact, Part, digest_of, image_config};
use world::registry::{BearerSpec, USER};
use world::{Manager, ManagerSpec, Registry};

use crate::{described, preheat, preheat_well};

const PRIVATE: &str = "team-a/private";
/// The repository that mallory may push to and pull from, and a public one.
const OWN: &str = "mallory/app";
const PUBLIC: &str = "public/app";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

struct World {
    registry: Registry,
    manager: Manager,
    private: Artifact,
    own: Artifact,
    /// Reads as the private layer for one reader, as an own one for the other; and the same with manifests.
    manifest: Part,
    index: Part,
}

fn image(layer: &str) -> Artifact {
    image_of(layer.repeat(500).into_bytes())
}

fn image_of(layer: Vec<u8>) -> Artifact {
    let config = image_config("linux/amd64", &[digest_of(&layer)]);
    Artifact::new(config, vec![(LAYER, layer)])
}

/// The layer is the part before the root.
fn layer_of(image: &Artifact) -> &Part {
    let parts = image.parts();
    parts
        .iter()
        .find(|part| part.media_type == LAYER)
        .expect("a layer")
}

fn described_part(part: &Part) -> String {
    let (media_type, digest, size) = (&part.media_type, &part.digest, part.bytes.len());
    format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{size}}}"#)
}

/// `layers` is the private one, `Layers` mallory's own, which Go reads; and the same one above.
fn in_two_spellings(private: &Artifact, own: &Artifact) -> (Part, Part) {
    let config = described_part(own.parts().first().expect("a config"));
    let (hidden, shown) = (layer_of(private), layer_of(own));
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{config},"layers":[{}],"Layers":[{}]}}"#,
        described_part(hidden),
        described_part(shown)
    );
    let index = format!(
        r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[{}],"Manifests":[{}]}}"#,
        described_part(private.root()),
        described_part(own.root())
    );
    (
        Part::raw_manifest(MANIFEST, &manifest),
        Part::raw_manifest(INDEX, &index),
    )
}

impl World {
    /// The private image is on the seed; the registry has taken mallory's documents in both repositories.
    async fn new() -> Self {
        let spec = BearerSpec::default()
            .user("mallory", "mallorys-word", &[OWN])
            .public(PUBLIC);
        let registry = Registry::bearer(spec).await;
        let (private, own) = (image("a private layer"), image("mallory's own layer"));
        registry.push_artifact(&private, PRIVATE, "v1").await;
        let (manifest, index) = in_two_spellings(&private, &own);
        for repository in [OWN, PUBLIC] {
            registry.push_artifact(&own, repository, "honest").await;
            registry.put_manifest(&manifest, repository, "manifest").await;
            registry.put_manifest(&index, repository, "index").await;
        }
        let manager = ManagerSpec::new()
            .config(&described(&registry, None))
            .start_up()
            .await;
        let world = Self {
            registry,
            manager,
            private,
            own,
            manifest,
            index,
        };
        let jwt = world.registry.token_server().jwt_for(USER, PRIVATE);
        preheat_well(&world.manager, &world.wish(PRIVATE, "v1").jwt(jwt)).await;
        world
    }

    fn wish(&self, repository: &str, tag: &str) -> Wish {
        Wish::new(self.registry.manifest_url(repository, tag))
    }

    async fn ask(&self, path: &str, token: Option<&str>) -> (StatusCode, Vec<u8>) {
        let registry = self.registry.host().replace(':', "%3A");
        let url = format!("{}/v2/{path}?ns={registry}", self.manager.front_url());
        let mut request = world::http::client(None).get(url);
        request = request.header(ACCEPT, format!("{MANIFEST}, {INDEX}"));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.expect("answered");
        let status = answer.status();
        (status, answer.bytes().await.unwrap_or_default().to_vec())
    }

    /// Nothing of the private image is given there, neither before nor after the caller has read mallory's documents.
    async fn gives_nothing_private(&self, repository: &str, token: Option<&str>) {
        for _ in 0..2 {
            for part in self.private.parts() {
                let kind = if part.is_manifest { "manifests" } else { "blobs" };
                let path = format!("{repository}/{kind}/{}", part.digest);
                let (status, body) = self.ask(&path, token).await;
                assert_ne!(status, StatusCode::OK, "{path}");
                assert_ne!(body, part.bytes, "{path}");
            }
            for reference in ["manifest", "index", &self.manifest.digest, &self.index.digest] {
                self.ask(&format!("{repository}/manifests/{reference}"), token)
                    .await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_in_two_spellings_opens_no_private_layer_to_who_pushed_it() {
    let world = World::new().await;
    let token = world.registry.token_server().jwt_for("mallory", OWN);
    world.gives_nothing_private(OWN, Some(&token)).await;
    // It is these documents that open nothing: the honest image of the same caller is given.
    let (status, _) = world.ask(&format!("{OWN}/manifests/honest"), Some(&token)).await;
    assert_eq!(status, StatusCode::OK);
    let alices = world.registry.token_server().jwt_for(USER, PRIVATE);
    let path = format!("{PRIVATE}/blobs/{}", layer_of(&world.private).digest);
    assert_eq!(world.ask(&path, Some(&alices)).await.0, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preheat_of_a_key_in_two_spellings_fails_by_name_and_makes_nothing_public() {
    let world = World::new().await;
    for (tag, key) in [("manifest", "Layers"), ("index", "Manifests")] {
        let poll = preheat(&world.manager, &world.wish(PUBLIC, tag)).await;
        assert_eq!(poll.state, State::Failure, "{tag}");
        let reason = poll.errors.join(" ");
        assert!(reason.contains(key), "{tag}: {reason}");
    }
    preheat_well(&world.manager, &world.wish(PUBLIC, "honest")).await;
    world.gives_nothing_private(PUBLIC, None).await;
    world.gives_nothing_private(PRIVATE, None).await;
    let path = format!("{PUBLIC}/manifests/{}", world.own.root().digest);
    let (status, _) = world.ask(&path, None).await;
    assert_eq!(status, StatusCode::OK, "what is public is given");
}
