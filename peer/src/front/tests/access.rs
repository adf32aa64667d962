use std::time::Duration;

use http::{Method, StatusCode};
use wire::OfflineAccess;

use super::support::{FrontFixture, SignIn, basic, node_credential};

const MINUTES: Duration = Duration::from_secs(11 * 60);

#[tokio::test]
async fn the_right_credential_pulls_from_the_cache_and_a_wrong_one_gets_401() {
    let world = FrontFixture::new(SignIn::Basic).await;
    let image = world.registry.push("a", "layer of a");
    let ann = basic("ann", "pw-ann");
    assert_eq!(world.pull("a", &image, Some(&ann)).await, StatusCode::OK);
    let before = world.registry.count("GET ");
    assert_eq!(world.pull("a", &image, Some(&ann)).await, StatusCode::OK);
    assert_eq!(world.registry.count("GET "), before, "served from the cache");
    let wrong = basic("ann", "guessed");
    assert_eq!(
        world.pull("a", &image, Some(&wrong)).await,
        StatusCode::UNAUTHORIZED
    );
    for path in [
        format!("/v2/a/blobs/{}", image.layer),
        format!("/v2/a/manifests/{}", image.index),
    ] {
        for authorization in [Some(wrong.as_str()), None] {
            let got = world.get(&path, authorization).await;
            assert_eq!(got.status, StatusCode::UNAUTHORIZED, "{path}");
            assert_eq!(got.challenge(), "Basic realm=\"fake\"");
        }
    }
}

#[tokio::test]
async fn a_grant_for_an_index_covers_the_image_without_another_question() {
    let world = FrontFixture::new(SignIn::Basic).await;
    let image = world.registry.push("a", "layer of a");
    assert_eq!(
        world.pull("a", &image, Some(&basic("ann", "pw-ann"))).await,
        StatusCode::OK
    );
    assert_eq!(
        world.registry.count("HEAD "),
        1,
        "{:?}",
        world.registry.requests()
    );
}

#[tokio::test]
async fn a_kept_grant_lets_its_account_pull_while_the_registry_is_unreachable() {
    let world = FrontFixture::new(SignIn::Basic).await;
    let image = world.registry.push("a", "layer of a");
    let ann = basic("ann", "pw-ann");
    assert_eq!(world.pull("a", &image, Some(&ann)).await, StatusCode::OK);
    world.stop_registry().await;
    world.let_time_pass(MINUTES);
    assert_eq!(world.pull("a", &image, Some(&ann)).await, StatusCode::OK);
    assert_eq!(
        world.pull("a", &image, Some(&basic("ann", "guessed"))).await,
        StatusCode::SERVICE_UNAVAILABLE
    );
    world.let_time_pass(Duration::from_secs(8 * 86_400));
    assert_eq!(
        world.pull("a", &image, Some(&ann)).await,
        StatusCode::SERVICE_UNAVAILABLE
    );
}

#[tokio::test]
async fn a_kept_grant_survives_a_restart() {
    let mut world = FrontFixture::new(SignIn::Basic).await;
    let image = world.registry.push("a", "layer of a");
    let ann = basic("ann", "pw-ann");
    assert_eq!(world.pull("a", &image, Some(&ann)).await, StatusCode::OK);
    world.stop_registry().await;
    world.restart_front().await;
    world.let_time_pass(MINUTES);
    assert_eq!(world.pull("a", &image, Some(&ann)).await, StatusCode::OK);
    let anonymous = world.head("/v2/a/manifests/v1", None).await;
    assert_eq!(
        anonymous.status,
        StatusCode::SERVICE_UNAVAILABLE,
        "nobody was ever challenged"
    );
}

#[tokio::test]
async fn nobody_gets_a_layer_through_another_repository() {
    let world = FrontFixture::new(SignIn::Basic).await;
    let (of_a, of_b) = (
        world.registry.push("a", "layer of a"),
        world.registry.push("b", "layer of b"),
    );
    let (ann, bob) = (basic("ann", "pw-ann"), basic("bob", "pw-bob"));
    assert_eq!(world.pull("a", &of_a, Some(&ann)).await, StatusCode::OK);
    assert_eq!(world.pull("b", &of_b, Some(&bob)).await, StatusCode::OK);
    let through_a = format!("/v2/a/blobs/{}", of_b.layer);
    let through_b = format!("/v2/b/blobs/{}", of_b.layer);
    assert_eq!(
        world.get(&through_a, Some(&ann)).await.status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        world.get(&through_b, Some(&ann)).await.status,
        StatusCode::UNAUTHORIZED
    );
    let manifest = format!("/v2/a/manifests/{}", of_b.manifest);
    assert_eq!(
        world.get(&manifest, Some(&ann)).await.status,
        StatusCode::NOT_FOUND
    );
    world.stop_registry().await;
    for path in [&through_a, &through_b, &manifest] {
        assert_eq!(
            world.get(path, Some(&ann)).await.status,
            StatusCode::SERVICE_UNAVAILABLE,
            "{path}"
        );
    }
    assert_eq!(world.get(&through_b, Some(&bob)).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_blob_that_reads_like_a_manifest_covers_nothing() {
    let world = FrontFixture::new(SignIn::Basic).await;
    let of_b = world.registry.push("b", "layer of b");
    assert_eq!(
        world.pull("b", &of_b, Some(&basic("bob", "pw-bob"))).await,
        StatusCode::OK
    );
    let listing = world
        .get(
            &format!("/v2/b/manifests/{}", of_b.manifest),
            Some(&basic("bob", "pw-bob")),
        )
        .await;
    let disguised = world.registry.push("a", listing.body.expect("a manifest"));
    let ann = basic("ann", "pw-ann");
    let blob = format!("/v2/a/blobs/{}", disguised.layer);
    assert_eq!(world.get(&blob, Some(&ann)).await.status, StatusCode::OK);
    let through_a = format!("/v2/a/blobs/{}", of_b.layer);
    assert_eq!(
        world.get(&through_a, Some(&ann)).await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn a_refusal_ends_the_grant_that_would_have_been_prolonged() {
    let world = FrontFixture::new(SignIn::Basic).await;
    let image = world.registry.push("a", "layer of a");
    let ann = basic("ann", "pw-ann");
    assert_eq!(world.pull("a", &image, Some(&ann)).await, StatusCode::OK);
    world.let_time_pass(MINUTES);
    world.registry.refuses_with(StatusCode::FORBIDDEN);
    let layer = format!("/v2/a/blobs/{}", image.layer);
    assert_eq!(world.get(&layer, Some(&ann)).await.status, StatusCode::FORBIDDEN);
    world.stop_registry().await;
    assert_eq!(
        world.get(&layer, Some(&ann)).await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
}

#[tokio::test]
async fn an_account_that_is_refused_the_tag_loses_its_grants_in_the_repository() {
    let world = FrontFixture::new(SignIn::Basic).await;
    let image = world.registry.push("a", "layer of a");
    let ann = basic("ann", "pw-ann");
    assert_eq!(world.pull("a", &image, Some(&ann)).await, StatusCode::OK);
    world.registry.refuses_with(StatusCode::FORBIDDEN);
    assert_eq!(world.pull("a", &image, Some(&ann)).await, StatusCode::FORBIDDEN);
    world.stop_registry().await;
    let offline = world.pull_by_digest("a", &image, Some(&ann)).await;
    assert_eq!(offline, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn an_overloaded_registry_is_no_unreachable_one() {
    let world = FrontFixture::new(SignIn::Basic).await;
    let image = world.registry.push("a", "layer of a");
    let ann = basic("ann", "pw-ann");
    assert_eq!(world.pull("a", &image, Some(&ann)).await, StatusCode::OK);
    world.let_time_pass(MINUTES);
    world.registry.refuses_with(StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(
        world.pull_by_digest("a", &image, Some(&ann)).await,
        StatusCode::OK
    );
    let bob = world
        .get(
            &format!("/v2/a/blobs/{}", image.layer),
            Some(&basic("bob", "pw-bob")),
        )
        .await;
    assert_eq!(
        bob.status,
        StatusCode::TOO_MANY_REQUESTS,
        "his own question's answer"
    );
}

#[tokio::test]
async fn a_public_object_needs_no_grant() {
    let mut world = FrontFixture::new(SignIn::Basic).await;
    let image = world.registry.push("a", "layer of a");
    assert_eq!(
        world.pull("a", &image, Some(&basic("ann", "pw-ann"))).await,
        StatusCode::OK
    );
    let seed = world.add_seed().await;
    for digest in [&image.index, &image.manifest, &image.config] {
        world.say_public(&seed, digest, "a");
    }
    world.say_public(&world.store, &image.layer, "a");
    world.stop_registry().await;
    assert_eq!(world.pull("a", &image, None).await, StatusCode::OK);
    let elsewhere = world.get(&format!("/v2/b/blobs/{}", image.layer), None).await;
    assert_ne!(elsewhere.status, StatusCode::OK, "public in a is not public in b");
}

#[tokio::test]
async fn the_nodes_credential_counts_for_every_caller_where_configured() {
    for (access, expected) in [
        (OfflineAccess::NodeCredential, StatusCode::OK),
        (OfflineAccess::KeptYes, StatusCode::SERVICE_UNAVAILABLE),
    ] {
        let world = FrontFixture::with(SignIn::Basic, access, node_credential()).await;
        let image = world.registry.push("a", "layer of a");
        assert_eq!(
            world.pull("a", &image, Some(&basic("ann", "pw-ann"))).await,
            StatusCode::OK
        );
        let stranger = basic("eve", "x");
        assert_eq!(
            world.pull("a", &image, Some(&stranger)).await,
            StatusCode::UNAUTHORIZED
        );
        world.stop_registry().await;
        assert_eq!(world.pull("a", &image, Some(&stranger)).await, expected);
    }
}

#[tokio::test]
async fn an_unknown_registry_is_never_dialled() {
    let world = FrontFixture::new(SignIn::None).await;
    let other = FrontFixture::new(SignIn::None).await;
    other.registry.push("a", "layer of a");
    let named = world
        .request(Method::GET, "/v2/a/manifests/v1")
        .header("x-dragonfly-registry", format!("http://{}", other.registry_name));
    let got = world.send(named).await;
    assert_eq!(got.status, StatusCode::NOT_FOUND);
    let text = String::from_utf8(got.body.expect("a body").to_vec()).expect("text");
    assert!(text.contains("NAME_UNKNOWN"), "{text}");
    assert!(text.contains(&other.registry_name), "{text}");
    assert!(other.registry.requests().is_empty());
    assert!(world.registry.requests().is_empty());
}
