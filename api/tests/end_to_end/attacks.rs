//! What callers tried in order to read what is not theirs, on a real registry behind a host that says 200 to
//! everything it does not know.

mod in_clear;
mod made_private;
mod two_spellings;

use reqwest::StatusCode;
use reqwest::header::AUTHORIZATION;
use world::harbor::Wish;
use world::nginx::Mover;
use world::registry::{PASSWORD, USER};
use world::{Image, ImageSpec, Manager, ManagerSpec, Nginx, NginxSpec, Registry};

use crate::preheat_well;

const REPOSITORY: &str = "team-a/private";

/// A private image on a seed, its registry behind a portal, another host that says yes to everything, and a registry of
/// somebody who knows the image's digests and sizes, and says that it has them.
struct Private {
    _registry: Registry,
    portal: Nginx,
    yes_man: Nginx,
    liar: Nginx,
    image: Image,
    manager: Manager,
}

impl Private {
    async fn preheated(authorize: &str) -> Self {
        let registry = Registry::basic().await;
        let image = ImageSpec::small(61).build();
        registry.push(&image, REPOSITORY, "v1").await;
        let portal = NginxSpec::new(Mover::Sendfile)
            .portal_before(&registry)
            .start()
            .await;
        let yes_man = NginxSpec::new(Mover::Sendfile)
            .says_yes_to_everything()
            .start()
            .await;
        let liar = NginxSpec::new(Mover::Sendfile).start().await;
        for repository in [REPOSITORY, "team-b/mine"] {
            liar.serve_lies(&image, repository);
        }
        let manager = ManagerSpec::new()
            .config(&configuration(&portal, [&yes_man, &liar], authorize))
            .start_up()
            .await;
        let url = portal.manifest_url(REPOSITORY, "v1");
        preheat_well(&manager, &Wish::new(url)).await;
        Self {
            _registry: registry,
            portal,
            yes_man,
            liar,
            image,
            manager,
        }
    }

    /// Asks the front for an object of the image, at a registry that the caller names.
    async fn ask(&self, origin: &str, path: &str, authorization: Option<&str>) -> (StatusCode, Vec<u8>) {
        let url = format!("{}/v2/{path}", self.manager.front_url());
        let mut request = world::http::client(None).get(url);
        request = request.header("x-dragonfly-registry", origin);
        if let Some(value) = authorization {
            request = request.header(AUTHORIZATION, value);
        }
        let answer = request.send().await.expect("answered");
        let status = answer.status();
        (status, answer.bytes().await.unwrap_or_default().to_vec())
    }

    /// Every object of the image, as a path below a repository.
    fn paths(&self, repository: &str) -> Vec<String> {
        let layers = self.image.layers().into_iter();
        let blobs = layers.map(|layer| format!("{repository}/blobs/{}", layer.digest));
        let root = format!("{repository}/manifests/{}", self.image.root().digest);
        blobs.chain([root]).collect()
    }
}

fn configuration(portal: &Nginx, allowed: [&Nginx; 2], authorize: &str) -> String {
    format!(
        "[registry.\"{}\"]\nplain_http = true\nusername = \"{USER}\"\npassword = \"{PASSWORD}\"\nauthorize = \"{authorize}\"\n[dial]\naddresses = [\"127.0.0.0/8\"]\nallow = {:?}\n",
        portal.host(),
        allowed.map(Nginx::host)
    )
}

fn right() -> String {
    use base64::Engine as _;
    let pair = format!("{USER}:{PASSWORD}");
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
}

async fn nothing_is_given_elsewhere(authorize: &str) {
    let private = Private::preheated(authorize).await;
    let (here, yes_man) = (private.portal.url(), private.yes_man.url());
    let origins = [
        here.clone(),
        format!("{here}/anything"),
        format!("{here}/any/thing"),
        yes_man.clone(),
        format!("{yes_man}/anything"),
        private.liar.url(),
    ];
    for origin in origins {
        for repository in [REPOSITORY, "team-b/mine"] {
            for path in private.paths(repository) {
                for authorization in [None, Some("Basic ZXZlOnB3"), Some("Bearer x")] {
                    let (status, body) = private.ask(&origin, &path, authorization).await;
                    let is_lie = origin == private.liar.url() && body.iter().all(|byte| *byte == b'x');
                    assert!(
                        status != StatusCode::OK || is_lie,
                        "{origin} {path} {authorization:?}: {body:?}"
                    );
                }
            }
        }
    }
    // It is the place that opens nothing, not the object.
    for path in private.paths(REPOSITORY) {
        let (status, _) = private.ask(&here, &path, Some(&right())).await;
        assert_eq!(status, StatusCode::OK, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_says_yes_to_every_path_opens_no_private_object() {
    nothing_is_given_elsewhere("head").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_says_yes_to_every_path_opens_nothing_where_each_get_is_asked_either() {
    nothing_is_given_elsewhere("manifest_get").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_right_credential_opens_nothing_under_another_path_of_the_host() {
    let private = Private::preheated("head").await;
    let origin = format!("{}/anything", private.portal.url());
    for path in private.paths(REPOSITORY) {
        let (status, _) = private.ask(&origin, &path, Some(&right())).await;
        assert_ne!(status, StatusCode::OK, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_under_a_path_of_a_host_is_never_given_for_the_host_s_own() {
    let evil = ImageSpec::small(62).build();
    let files = NginxSpec::new(Mover::Sendfile).start().await;
    files.serve_tagged_below("files/me", &evil, REPOSITORY, "v1");
    let config = format!("[registry.\"{}\"]\nplain_http = true\n", files.host());
    let manager = ManagerSpec::new().config(&config).start_up().await;
    let url = format!("{}/files/me/v2/{REPOSITORY}/manifests/v1", files.url());
    preheat_well(&manager, &Wish::new(url)).await;
    let (front, registry) = (manager.front_url(), files.host().replace(':', "%3A"));
    let ask = async |reference: &str| {
        let url = format!("{front}/v2/{REPOSITORY}/manifests/{reference}?ns={registry}");
        let answer = world::http::client(None).get(url).send().await;
        answer.expect("answered").status()
    };
    let digest = evil.root().digest.clone();
    for reference in ["v1", digest.as_str()] {
        assert_ne!(ask(reference).await, StatusCode::OK, "{reference}");
    }
    // Also in the next outage, when what was known before has to do.
    drop(files);
    for reference in ["v1", digest.as_str()] {
        assert_ne!(ask(reference).await, StatusCode::OK, "{reference}");
    }
}
