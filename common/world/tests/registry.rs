//! Each kind of registry behaves as its callers expect.

use std::time::Duration;

use reqwest::header::AUTHORIZATION;
use world::image::Kind;
use world::registry::{BearerSpec, PASSWORD, USER};
use world::{Image, ImageSpec, LayerSpec, Registry};

const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

fn two_platforms(seed: u64) -> ImageSpec {
    ImageSpec::new(seed)
        .platforms(["linux/amd64", "linux/arm64"])
        .layer(LayerSpec::of(20_000))
}

/// Status and body of a GET.
async fn get(registry: &Registry, path: &str, authorization: Option<&str>) -> (u16, Vec<u8>) {
    let mut request = registry
        .client()
        .get(format!("{}{path}", registry.url()))
        .header("accept", ACCEPT);
    if let Some(authorization) = authorization {
        request = request.header(AUTHORIZATION, authorization);
    }
    let answer = request.send().await.expect("an answer");
    (
        answer.status().as_u16(),
        answer.bytes().await.expect("a body").to_vec(),
    )
}

async fn every_object_is_there(registry: &Registry, image: &Image) {
    for object in image.objects() {
        let place = match object.kind {
            Kind::Index | Kind::Manifest => "manifests",
            Kind::Config | Kind::Layer => "blobs",
        };
        let (status, body) = get(
            registry,
            &format!("/v2/library/app/{place}/{}", object.digest),
            None,
        )
        .await;
        assert_eq!((status, body.len() as u64), (200, object.size), "{object:?}");
        assert!(body == image.bytes(&object.digest), "{object:?} has other bytes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pushed_image_has_every_object() {
    let registry = Registry::plain().await;
    for image in [
        two_platforms(1).build(),
        two_platforms(2).docker().build(),
        ImageSpec::small(3).build(),
    ] {
        registry.push(&image, "library/app", "v1").await;
        every_object_is_there(&registry, &image).await;
        let (status, body) = get(&registry, "/v2/library/app/manifests/v1", None).await;
        assert_eq!(status, 200);
        assert!(
            body == image.bytes(&image.root().digest),
            "the tag names another manifest"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_counts_successful_gets() {
    let mut registry = Registry::plain().await;
    let image = ImageSpec::small(4).build();
    registry.push(&image, "library/app", "v1").await;
    registry.forget_requests().await;
    let layer = &image.layers()[0].digest;
    get(&registry, &format!("/v2/library/app/blobs/{layer}"), None).await;
    get(&registry, &format!("/v2/library/app/blobs/{layer}?ns=x"), None).await;
    assert_eq!(registry.gets_of(layer).await, 2);
    assert_eq!(registry.requests().await.len(), 2);
    registry.forget_requests().await;
    assert_eq!(registry.gets_of(layer).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn data_and_port_survive_a_stop() {
    let mut registry = Registry::plain().await;
    let image = ImageSpec::small(5).build();
    registry.push(&image, "library/app", "v1").await;
    registry.stop();
    let refused = registry
        .client()
        .get(registry.url())
        .send()
        .await
        .expect_err("the port is closed");
    assert!(refused.is_connect());
    registry.start().await;
    every_object_is_there(&registry, &image).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hanging_registry_answers_again_when_resumed() {
    let mut registry = Registry::plain().await;
    registry.hang();
    let url = format!("{}/v2/", registry.url());
    let silent = registry
        .client()
        .get(&url)
        .timeout(Duration::from_millis(300))
        .send()
        .await;
    assert!(silent.expect_err("silence").is_timeout());
    registry.resume();
    assert_eq!(get(&registry, "/v2/", None).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_and_corrupt_blobs_are_visible() {
    let registry = Registry::plain().await;
    let image = ImageSpec::small(6).build();
    registry.push(&image, "library/app", "v1").await;
    let (first, second) = (&image.layers()[0].digest, &image.layers()[1].digest);
    registry.lose(first);
    assert_eq!(
        get(&registry, &format!("/v2/library/app/blobs/{first}"), None)
            .await
            .0,
        404
    );
    registry.corrupt(second);
    let (status, body) = get(&registry, &format!("/v2/library/app/blobs/{second}"), None).await;
    assert_eq!((status, body.len()), (200, image.bytes(second).len()));
    assert!(body != image.bytes(second));
}

#[tokio::test(flavor = "multi_thread")]
async fn basic_requires_the_right_password() {
    let registry = Registry::basic().await;
    let image = ImageSpec::small(7).build();
    registry.push(&image, "library/app", "v1").await;
    let path = "/v2/library/app/manifests/v1";
    let answer = registry
        .client()
        .get(format!("{}{path}", registry.url()))
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status().as_u16(), 401);
    let challenge = answer.headers()["www-authenticate"].to_str().expect("text");
    assert!(challenge.starts_with("Basic realm="), "{challenge}");
    for (password, expected) in [(PASSWORD, 200), ("wrong", 401)] {
        let request = registry
            .client()
            .get(format!("{}{path}", registry.url()))
            .header("accept", ACCEPT);
        let answer = request
            .basic_auth(USER, Some(password))
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status().as_u16(), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_trusted_only_with_its_own_ca() {
    let registry = Registry::tls().await;
    let image = ImageSpec::small(8).build();
    registry.push(&image, "library/app", "v1").await;
    every_object_is_there(&registry, &image).await;
    let stranger = world::http::client(None)
        .get(format!("{}/v2/", registry.url()))
        .send()
        .await;
    assert!(stranger.is_err());
}

fn bearer() -> BearerSpec {
    BearerSpec::default()
        .user("bob", "b0bs-word", &["library/app"])
        .public("library/open")
}

/// Requests a token from the token server by GET.
async fn token(registry: &Registry, user: Option<(&str, &str)>, repository: &str) -> (u16, String) {
    let scope = format!("repository:{repository}:pull");
    let url = format!(
        "{}?service=world-registry&scope={scope}",
        registry.token_server().realm()
    );
    let mut request = registry.client().get(url);
    if let Some((user, password)) = user {
        request = request.basic_auth(user, Some(password));
    }
    let answer = request.send().await.expect("an answer");
    let status = answer.status().as_u16();
    let body: serde_json::Value = answer.json().await.expect("JSON");
    (status, body["token"].as_str().unwrap_or_default().to_owned())
}

/// Returns the status of a manifest GET with this token.
async fn with_token(registry: &Registry, token: &str, repository: &str) -> u16 {
    get(
        registry,
        &format!("/v2/{repository}/manifests/v1"),
        Some(&format!("Bearer {token}")),
    )
    .await
    .0
}

#[tokio::test(flavor = "multi_thread")]
async fn bearer_opens_to_each_account_its_repositories() {
    let registry = Registry::bearer(bearer()).await;
    let image = ImageSpec::small(9).build();
    for repository in ["library/app", "library/open", "library/other"] {
        registry.push(&image, repository, "v1").await;
    }
    assert_eq!(get(&registry, "/v2/library/open/manifests/v1", None).await.0, 401);
    let bob = Some(("bob", "b0bs-word"));
    for (user, repository, expected) in [
        (Some((USER, PASSWORD)), "library/other", 200),
        (bob, "library/app", 200),
        (bob, "library/other", 401),
        (bob, "library/open", 200),
        (None, "library/open", 200),
        (None, "library/app", 401),
    ] {
        let (status, token) = token(&registry, user, repository).await;
        assert_eq!(status, 200, "{user:?}");
        assert_eq!(
            with_token(&registry, &token, repository).await,
            expected,
            "{user:?} at {repository}"
        );
    }
    assert_eq!(
        token(&registry, Some(("bob", "wrong")), "library/app").await.0,
        401
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ready_made_token_opens_its_repository_without_an_exchange() {
    let registry = Registry::bearer(bearer()).await;
    registry
        .push(&ImageSpec::small(10).build(), "library/app", "v1")
        .await;
    registry.token_server().forget_exchanges();
    let jwt = registry.token_server().jwt_for("distributor", "library/app");
    assert_eq!(with_token(&registry, &jwt, "library/app").await, 200);
    assert_eq!(registry.token_server().exchanges(), []);
    let ended = registry
        .token_server()
        .jwt_lasting("distributor", "library/app", Duration::ZERO);
    assert_eq!(with_token(&registry, &ended, "library/app").await, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_server_stops_independently() {
    let mut registry = Registry::bearer(bearer()).await;
    registry
        .push(&ImageSpec::small(11).build(), "library/open", "v1")
        .await;
    let (_, kept) = token(&registry, None, "library/open").await;
    registry.token_server_mut().stop();
    let realm = registry.token_server().realm();
    assert!(
        registry
            .client()
            .get(&realm)
            .send()
            .await
            .expect_err("the port is closed")
            .is_connect()
    );
    assert_eq!(with_token(&registry, &kept, "library/open").await, 200);
    registry.token_server_mut().start_again();
    assert_eq!(token(&registry, None, "library/open").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn mutual_tls_refuses_a_client_without_a_certificate() {
    let registry = Registry::mutual_tls().await;
    registry
        .push(&ImageSpec::small(9).build(), "library/app", "v1")
        .await;
    let (status, _) = get(&registry, "/v2/library/app/manifests/v1", None).await;
    assert_eq!(status, 200);
    let stranger = world::http::client(registry.ca_pem());
    assert!(
        stranger
            .get(format!("{}/v2/", registry.url()))
            .send()
            .await
            .is_err()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_token_is_exchanged_and_another_is_not() {
    let registry = Registry::bearer(BearerSpec::default()).await;
    registry
        .push(&ImageSpec::small(10).build(), "library/app", "v1")
        .await;
    let exchange = async |token: &str| {
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", token),
            ("scope", "repository:library/app:pull"),
        ];
        let realm = registry.token_server().realm();
        registry
            .client()
            .post(realm)
            .form(&form)
            .send()
            .await
            .expect("an answer")
    };
    assert_eq!(exchange("junk").await.status(), 401);
    let answer = exchange(&registry.token_server().identity_token(USER)).await;
    let given: serde_json::Value = answer.json().await.expect("JSON");
    let token = given["token"].as_str().expect("a token");
    let bearer = format!("Bearer {token}");
    let (status, _) = get(&registry, "/v2/library/app/manifests/v1", Some(&bearer)).await;
    assert_eq!(status, 200);
}
