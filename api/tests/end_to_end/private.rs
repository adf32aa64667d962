//! Who may read: the right credential from the cache, a wrong one nothing, and nobody through another repository.

use reqwest::StatusCode;
use world::harbor::Wish;
use world::registry::{BearerSpec, PASSWORD, USER};
use world::{Containerd, Image, ImageSpec, LayerSpec, Manager, ManagerSpec, Peer, Registry};

use crate::{described, preheat_well, up};

const RIGHT: Option<(&str, &str)> = Some((USER, PASSWORD));
const WRONG: Option<(&str, &str)> = Some((USER, "not-the-password"));

fn basic(user: &str, password: &str) -> String {
    use base64::Engine as _;
    format!(
        "Basic {}",
        base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"))
    )
}

fn name_of(registry: &Registry, repository: &str) -> String {
    format!("{}/{repository}:v1", registry.host())
}

async fn pull(registry: &Registry, front: &str, credentials: Option<(&str, &str)>) -> Result<(), String> {
    let containerd = Containerd::start().await;
    containerd.mirror_only(registry, front);
    containerd
        .pull(&name_of(registry, "team/app"), credentials)
        .await
        .map(drop)
}

/// Asks the front for a blob as a runtime would.
async fn ask(front: &str, registry: &Registry, path: &str, authorization: Option<&str>) -> StatusCode {
    let mut request = registry.client().get(format!(
        "{front}/v2/{path}?ns={}",
        registry.host().replace(':', "%3A")
    ));
    if let Some(value) = authorization {
        request = request.header("authorization", value);
    }
    request.send().await.expect("answered").status()
}

async fn basic_up() -> (Registry, Image, Manager) {
    let registry = Registry::basic().await;
    let image = ImageSpec::small(21).build();
    registry.push(&image, "team/app", "v1").await;
    let config = described(&registry, None) + &format!("username = \"{USER}\"\npassword = \"{PASSWORD}\"\n");
    let manager = ManagerSpec::new().config(&config).start_up().await;
    preheat_well(&manager, &Wish::new(registry.manifest_url("team/app", "v1"))).await;
    (registry, image, manager)
}

#[tokio::test(flavor = "multi_thread")]
async fn basic_the_right_credential_pulls_and_a_wrong_one_is_refused() {
    let (mut registry, image, manager) = basic_up().await;
    let front = manager.front_url();
    registry.forget_requests().await;
    pull(&registry, &front, RIGHT)
        .await
        .expect("the right credential pulls");
    for layer in image.layers() {
        assert_eq!(
            registry.gets_of(&layer.digest).await,
            0,
            "the bytes came from the cache"
        );
    }
    assert!(
        pull(&registry, &front, WRONG).await.is_err(),
        "a wrong credential pulls nothing"
    );
    let blob = format!("team/app/blobs/{}", image.layers()[0].digest);
    let wrong = basic(USER, "not-the-password");
    assert_eq!(
        ask(&front, &registry, &blob, Some(&wrong)).await,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        ask(&front, &registry, &blob, None).await,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn basic_who_pulled_before_pulls_again_while_the_registry_is_down() {
    let (mut registry, image, manager) = basic_up().await;
    let front = manager.front_url();
    pull(&registry, &front, RIGHT).await.expect("the first pull");
    registry.stop();
    pull(&registry, &front, RIGHT)
        .await
        .expect("the second pull, from the kept yes");
    assert!(pull(&registry, &front, WRONG).await.is_err(), "nobody else");
    let blob = format!("team/app/blobs/{}", image.layers()[0].digest);
    assert_ne!(ask(&front, &registry, &blob, None).await, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn bearer_the_right_account_pulls_and_a_wrong_one_is_refused() {
    let registry = Registry::bearer(BearerSpec::default()).await;
    let image = ImageSpec::small(22).build();
    registry.push(&image, "team/app", "v1").await;
    let manager = up(&registry).await;
    let jwt = registry.token_server().jwt_for(USER, "team/app");
    preheat_well(
        &manager,
        &Wish::new(registry.manifest_url("team/app", "v1")).jwt(jwt),
    )
    .await;

    let front = manager.front_url();
    pull(&registry, &front, RIGHT)
        .await
        .expect("the right account pulls");
    assert!(
        pull(&registry, &front, WRONG).await.is_err(),
        "a wrong password pulls nothing"
    );
    assert!(
        pull(&registry, &front, None).await.is_err(),
        "nobody pulls a private image"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn bearer_a_fresh_token_of_the_same_account_pulls_while_the_registry_is_down() {
    let mut registry = Registry::bearer(BearerSpec::default()).await;
    let image = ImageSpec::small(23).build();
    registry.push(&image, "team/app", "v1").await;
    let manager = up(&registry).await;
    let jwt = registry.token_server().jwt_for(USER, "team/app");
    preheat_well(
        &manager,
        &Wish::new(registry.manifest_url("team/app", "v1")).jwt(jwt),
    )
    .await;

    let front = manager.front_url();
    pull(&registry, &front, RIGHT).await.expect("the first pull");
    registry.stop();
    pull(&registry, &front, RIGHT)
        .await
        .expect("a fresh token of the same account");
    assert!(
        pull(&registry, &front, WRONG).await.is_err(),
        "a wrong password pulls nothing"
    );
    // Not even the token server answers: the front stands in for accounts that it knows.
    registry.token_server_mut().stop();
    pull(&registry, &front, RIGHT)
        .await
        .expect("with everything else down");
    assert!(
        pull(&registry, &front, WRONG).await.is_err(),
        "a wrong password pulls nothing"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_image_behind_a_bearer_challenge_is_pulled_on_a_node_that_never_saw_it() {
    let mut registry = Registry::bearer(BearerSpec::default().public("team/app")).await;
    let image = ImageSpec::small(24).build();
    registry.push(&image, "team/app", "v1").await;
    let manager = ManagerSpec::new()
        .config(&described(&registry, None))
        .start()
        .await;
    let _seed = Peer::seed("seed", &manager).await;
    let node = Peer::node("node", &manager).await;
    let jwt = registry.token_server().jwt_for(USER, "team/app");
    preheat_well(
        &manager,
        &Wish::new(registry.manifest_url("team/app", "v1")).jwt(jwt),
    )
    .await;

    registry.stop();
    registry.token_server_mut().stop();
    pull(&registry, &node.front_url(), None)
        .await
        .expect("public needs no yes");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_anothers_layer_through_a_repository_of_their_own() {
    let spec = BearerSpec::default()
        .user("anna", "annas-word", &["anna/app"])
        .user("ben", "bens-word", &["ben/app"]);
    let registry = Registry::bearer(spec).await;
    let annas = ImageSpec::new(25).layers([LayerSpec::of(50_000)]).build();
    let bens = ImageSpec::new(26).layers([LayerSpec::of(60_000)]).build();
    registry.push(&annas, "anna/app", "v1").await;
    registry.push(&bens, "ben/app", "v1").await;
    let manager = ManagerSpec::new()
        .config(&described(&registry, None))
        .start()
        .await;
    let seed = Peer::seed("seed", &manager).await;
    for repository in ["anna/app", "ben/app"] {
        let jwt = registry.token_server().jwt_for(USER, repository);
        preheat_well(
            &manager,
            &Wish::new(registry.manifest_url(repository, "v1")).jwt(jwt),
        )
        .await;
    }

    let front = seed.front_url();
    let anna = format!("Bearer {}", registry.token_server().jwt_for("anna", "anna/app"));
    let (own, other) = (&annas.layers()[0].digest, &bens.layers()[0].digest);
    assert_eq!(
        ask(
            &front,
            &registry,
            &format!("anna/app/manifests/{}", annas.root().digest),
            Some(&anna)
        )
        .await,
        StatusCode::OK
    );
    assert_eq!(
        ask(&front, &registry, &format!("anna/app/blobs/{own}"), Some(&anna)).await,
        StatusCode::OK
    );
    for path in [
        format!("anna/app/blobs/{other}"),
        format!("ben/app/blobs/{other}"),
        format!("ben/app/manifests/{}", bens.root().digest),
    ] {
        let status = ask(&front, &registry, &path, Some(&anna)).await;
        assert!(status.is_client_error(), "{path} was answered {status}");
        assert_ne!(
            ask(&front, &registry, &path, None).await,
            StatusCode::OK,
            "{path} without a credential"
        );
    }
    for token in [None, Some("Bearer not-a-peer-token"), Some(anna.as_str())] {
        for scheme in ["https", "http"] {
            let share = seed.share_url().replace("https", scheme);
            let mut request = any_certificate().get(format!("{share}/share/v1/objects/{other}"));
            if let Some(token) = token {
                request = request.header("authorization", token);
            }
            let answered = request.send().await;
            assert!(
                answered.is_err(),
                "share over {scheme} with {token:?}: {answered:?}"
            );
        }
    }
}

/// Believes whatever certificate a server shows, and has none of its own.
fn any_certificate() -> reqwest::Client {
    process::install_tls_provider();
    process::http::curious_client().expect("a client")
}
