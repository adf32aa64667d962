//! What clients do that learn from `/v2/` how to sign in (podman, skopeo, CRI-O, crane, docker): they fetch one token
//! from the realm of that answer, for a scope made of their path, and send nothing else.

use http::{Method, StatusCode};
use oci::challenge::{Challenge, parse};
use serde_json::Value;

use super::support::{FrontFixture, FrontResponse, Image, SignIn, basic};

const ANN: Option<(&str, &str)> = Some(("ann", "pw-ann"));
const NOBODY: Option<(&str, &str)> = None;

/// Pings like skopeo, and returns the realm.
async fn realm(world: &FrontFixture) -> String {
    let ping = world.send(world.bare(Method::GET, "/v2/")).await;
    assert_eq!(ping.status, StatusCode::UNAUTHORIZED);
    realm_of(&ping)
}

fn realm_of(ping: &FrontResponse) -> String {
    let challenges = parse(ping.challenge());
    let [
        Challenge::Bearer {
            realm,
            service,
            scope,
        },
    ] = challenges.as_slice()
    else {
        panic!("{:?} is no Bearer challenge", ping.challenge());
    };
    assert_eq!((service.as_deref(), scope), (Some("stoker"), &None));
    realm.clone()
}

/// Fetches the token for a repository of this registry.
async fn token(
    world: &FrontFixture,
    registry: &str,
    repository: &str,
    account: Option<(&str, &str)>,
) -> FrontResponse {
    let realm = realm(world).await;
    let path = realm
        .strip_prefix(&format!("http://{}", world.front))
        .expect("a realm at this front");
    let named = FrontFixture::in_path(registry);
    let scope = format!("repository:{named}/{repository}:pull");
    let mut request = world
        .bare(Method::GET, path)
        .query(&[("service", "stoker"), ("scope", &scope)]);
    if let Some((user, password)) = account {
        request = request
            .query(&[("account", user)])
            .header("authorization", basic(user, password));
    }
    world.send(request).await
}

fn bearer(issued: &FrontResponse) -> String {
    assert_eq!(issued.status, StatusCode::OK);
    let body = issued.body.clone().expect("a body");
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    format!("Bearer {}", body["token"].as_str().expect("a token"))
}

/// Reads manifest and layer of `a` by the path form, with one value of `Authorization`.
async fn pull(
    world: &FrontFixture,
    registry: &str,
    repository: &str,
    image: &Image,
    authorization: &str,
) -> StatusCode {
    let named = FrontFixture::in_path(registry);
    for end in [
        "manifests/v1".to_owned(),
        format!("manifests/{}", image.index),
        format!("blobs/{}", image.layer),
    ] {
        let request = world.bare(Method::GET, &format!("/v2/{named}/{repository}/{end}"));
        let got = world.send(request.header("authorization", authorization)).await;
        if got.status != StatusCode::OK {
            return got.status;
        }
    }
    StatusCode::OK
}

#[tokio::test]
async fn the_ping_names_our_own_token_path_until_a_client_has_a_token() {
    let world = FrontFixture::new(SignIn::Bearer).await;
    let ping = world.send(world.bare(Method::GET, "/v2/")).await;
    assert_eq!(ping.status, StatusCode::UNAUTHORIZED);
    assert_eq!(ping.header("docker-distribution-api-version"), "registry/2.0");
    assert_eq!(ping.header("cache-control"), "no-store");
    assert_eq!(
        ping.challenge(),
        format!(
            "Bearer realm=\"http://{}/stoker/token\",service=\"stoker\"",
            world.front
        )
    );
    let with = |value: &str| {
        let request = world.bare(Method::GET, "/v2/");
        world.send(request.header("authorization", value.to_owned()))
    };
    assert_eq!(with("Basic Og==").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(with(&basic("ann", "pw-ann")).await.status, StatusCode::OK);
    // As after `docker login`: a token without a scope.
    let login = world.bare(Method::GET, "/stoker/token?service=stoker&account=ann");
    let login = world
        .send(login.header("authorization", basic("ann", "pw-ann")))
        .await;
    assert_eq!(with(&bearer(&login)).await.status, StatusCode::OK);
    assert!(world.registry.requests().is_empty(), "no registry was named");
}

#[tokio::test]
async fn a_host_that_is_no_address_leads_no_password_away() {
    let world = FrontFixture::new(SignIn::Bearer).await;
    world.registry.push("a", "layer of a");
    let named = FrontFixture::in_path(&world.registry_name);
    for path in ["/v2/".to_owned(), format!("/v2/{named}/a/manifests/v1")] {
        let request = world.bare(Method::GET, &path);
        let got = world.send(request.header("host", "evil.example.com:65001")).await;
        assert_eq!(got.status, StatusCode::UNAUTHORIZED);
        assert!(!got.challenge().contains("evil"), "{}", got.challenge());
        assert_eq!(got.header("cache-control"), "no-store");
    }
}

#[tokio::test]
async fn behind_bearer_the_registrys_own_token_is_given() {
    let world = FrontFixture::new(SignIn::Bearer).await;
    let image = world.registry.push("a", "layer of a");
    let issued = token(&world, &world.registry_name, "a", ANN).await;
    assert_eq!(
        pull(&world, &world.registry_name, "a", &image, &bearer(&issued)).await,
        StatusCode::OK
    );
    let guessed = token(&world, &world.registry_name, "a", Some(("ann", "guessed"))).await;
    assert_eq!(guessed.status, StatusCode::UNAUTHORIZED);
    let nobodys = token(&world, &world.registry_name, "a", NOBODY).await;
    assert_eq!(
        pull(&world, &world.registry_name, "a", &image, &bearer(&nobodys)).await,
        StatusCode::UNAUTHORIZED
    );
    let open = world.registry.push("open", "open layer");
    let nobodys = token(&world, &world.registry_name, "open", NOBODY).await;
    assert_eq!(
        pull(&world, &world.registry_name, "open", &open, &bearer(&nobodys)).await,
        StatusCode::OK
    );
    let shown = world.registry.authorizations();
    assert!(
        !shown.iter().any(|value| value.contains("stoker-local")),
        "{shown:?}"
    );
}

#[tokio::test]
async fn the_token_of_a_form_is_given_too() {
    let world = FrontFixture::new(SignIn::Bearer).await;
    let image = world.registry.push("a", "layer of a");
    let named = FrontFixture::in_path(&world.registry_name);
    let form = [
        ("grant_type", "password"),
        ("service", "stoker"),
        ("scope", &format!("repository:{named}/a:pull")),
        ("username", "ann"),
        ("password", "pw-ann"),
    ];
    let issued = world
        .send(world.bare(Method::POST, "/stoker/token").form(&form))
        .await;
    assert_eq!(
        pull(&world, &world.registry_name, "a", &image, &bearer(&issued)).await,
        StatusCode::OK
    );
}

#[tokio::test]
async fn behind_basic_a_token_carries_the_credential_to_that_registry_alone() {
    let world = FrontFixture::new(SignIn::Basic).await;
    let image = world.registry.push("a", "layer of a");
    let issued = token(&world, &world.registry_name, "a", ANN).await;
    let ann = bearer(&issued);
    assert_eq!(
        pull(&world, &world.registry_name, "a", &image, &ann).await,
        StatusCode::OK
    );
    let theirs = world.other.push("a", "layer of a");
    pull(&world, &world.other_name, "a", &theirs, &ann).await;
    let shown = world.other.authorizations();
    assert!(shown.iter().all(String::is_empty), "{shown:?}");
    let wrong = token(&world, &world.registry_name, "a", Some(("ann", "guessed"))).await;
    assert_eq!(
        pull(&world, &world.registry_name, "a", &image, &bearer(&wrong)).await,
        StatusCode::UNAUTHORIZED
    );
    let open = world.registry.push("open", "open layer");
    let nobodys = token(&world, &world.registry_name, "open", NOBODY).await;
    assert_eq!(
        pull(&world, &world.registry_name, "open", &open, &bearer(&nobodys)).await,
        StatusCode::OK
    );
    assert_eq!(
        pull(&world, &world.registry_name, "a", &image, "Basic Og==").await,
        StatusCode::UNAUTHORIZED
    );
    let shown = world.registry.authorizations();
    assert!(
        !shown
            .iter()
            .any(|value| value.contains("stoker") || value == "Basic Og=="),
        "{shown:?}"
    );
}

#[tokio::test]
async fn a_sealed_credential_ends_and_survives_a_restart() {
    let mut world = FrontFixture::new(SignIn::Basic).await;
    let image = world.registry.push("a", "layer of a");
    let issued = token(&world, &world.registry_name, "a", ANN).await;
    let ann = bearer(&issued);
    world.restart_front().await;
    assert_eq!(
        pull(&world, &world.registry_name, "a", &image, &ann).await,
        StatusCode::OK
    );
    world.let_time_pass(std::time::Duration::from_secs(3_601));
    assert_eq!(
        pull(&world, &world.registry_name, "a", &image, &ann).await,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn an_open_registry_gets_no_credential() {
    let world = FrontFixture::new(SignIn::None).await;
    let image = world.registry.push("a", "layer of a");
    for account in [ANN, NOBODY] {
        let issued = token(&world, &world.registry_name, "a", account).await;
        assert_eq!(
            pull(&world, &world.registry_name, "a", &image, &bearer(&issued)).await,
            StatusCode::OK
        );
    }
    let shown = world.registry.authorizations();
    assert!(shown.iter().all(String::is_empty), "{shown:?}");
}

#[tokio::test]
async fn a_registry_that_is_not_allowed_is_not_dialled_for_a_token() {
    let world = FrontFixture::new(SignIn::Bearer).await;
    let issued = token(&world, "evil.example.com", "a", ANN).await;
    assert_eq!(bearer(&issued), "Bearer stoker-local.anonymous");
    let request = world.bare(Method::GET, "/v2/evil.example.com/a/manifests/v1");
    let got = world.send(request.header("authorization", bearer(&issued))).await;
    assert_eq!(got.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_registry_in_trouble_is_no_open_one_for_a_caller_with_a_credential() {
    let world = FrontFixture::new(SignIn::Bearer).await;
    world
        .registry
        .answers("GET /v2/a/", StatusCode::TOO_MANY_REQUESTS);
    let issued = token(&world, &world.registry_name, "a", ANN).await;
    assert_eq!(issued.status, StatusCode::TOO_MANY_REQUESTS);
    let nobodys = token(&world, &world.registry_name, "a", NOBODY).await;
    assert_eq!(bearer(&nobodys), "Bearer stoker-local.anonymous");
}

#[tokio::test]
async fn a_ping_that_names_its_registry_needs_no_registry_in_the_scope() {
    let world = FrontFixture::new(SignIn::Bearer).await;
    let image = world.registry.push("a", "layer of a");
    let header = format!("http://{}", world.registry_name);
    let by_ns = world
        .bare(Method::GET, "/v2/")
        .query(&[("ns", &world.registry_name)]);
    let by_header = world
        .bare(Method::GET, "/v2/")
        .header("x-dragonfly-registry", &header);
    let by_namespace = world
        .bare(Method::GET, "/v2/")
        .header("oci-namespace", &world.registry_name);
    for ping in [by_ns, by_header, by_namespace] {
        let realm = realm_of(&world.send(ping).await);
        let path = realm
            .strip_prefix(&format!("http://{}", world.front))
            .expect("a realm at this front");
        let request = world
            .bare(Method::GET, path)
            .query(&[("scope", "repository:a:pull"), ("service", "stoker")])
            .header("authorization", basic("ann", "pw-ann"));
        let ann = bearer(&world.send(request).await);
        assert_eq!(world.pull("a", &image, Some(&ann)).await, StatusCode::OK);
    }
    let strange = world
        .bare(Method::GET, "/v2/")
        .query(&[("ns", "evil.example.com")]);
    let strange = realm_of(&world.send(strange).await);
    assert!(!strange.contains("evil"), "{strange}");
}

#[tokio::test]
async fn the_namespace_and_the_registrys_warnings_are_in_the_response() {
    let world = FrontFixture::new(SignIn::None).await;
    let image = world.registry.push("a", "layer of a");
    world.registry.warns("299 - \"this image is deprecated\"");
    let manifest = world.get("/v2/a/manifests/v1", None).await;
    assert_eq!(manifest.header("oci-namespace"), world.registry_name);
    assert_eq!(manifest.header("warning"), "299 - \"this image is deprecated\"");
    let blob = world.get(&format!("/v2/a/blobs/{}", image.layer), None).await;
    assert_eq!(blob.header("oci-namespace"), world.registry_name);
    assert_eq!(blob.header("docker-content-digest"), image.layer.as_str());
}
