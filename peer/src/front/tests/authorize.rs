use std::time::Duration;

use http::StatusCode;

use super::support::{BAR_MESSAGE, BARRED, FrontFixture, Image, SignIn};

const MINUTES: Duration = Duration::from_secs(11 * 60);
const ANN: Option<(&str, &str)> = Some(("ann", "pw-ann"));

/// A Harbor with one image, and ann's token for it.
async fn harbor() -> (FrontFixture, Image, String) {
    let world = FrontFixture::new(SignIn::Bearer).await;
    world.registry.is_a_harbor();
    let image = world.registry.push("a", "layer of a");
    let ann = world.bearer("a", ANN).await.expect("signed in");
    (world, image, ann)
}

fn manifest_gets(world: &FrontFixture) -> usize {
    world.registry.count("GET /v2/a/manifests/")
}

fn by_digest(image: &Image) -> String {
    format!("/v2/a/manifests/{}", image.index)
}

#[tokio::test]
async fn harbor_counts_each_get_of_a_manifest_once() {
    let (world, image, ann) = harbor().await;
    for pulls in 1..=3 {
        assert_eq!(world.pull("a", &image, Some(&ann)).await, StatusCode::OK);
        assert_eq!(
            manifest_gets(&world),
            2 * pulls,
            "{:?}",
            world.registry.requests()
        );
        assert_eq!(
            world.registry.count("GET /v2/a/blobs/"),
            2,
            "blobs come from the cache"
        );
    }
    let got = world.get("/v2/a/manifests/v1", Some(&ann)).await;
    assert_eq!(got.status, StatusCode::OK);
    assert_eq!(manifest_gets(&world), 7, "a GET by tag is one GET too");
}

#[tokio::test]
async fn a_head_is_a_head_at_the_registry_too() {
    let (world, image, ann) = harbor().await;
    for path in ["/v2/a/manifests/v1".to_owned(), by_digest(&image)] {
        assert_eq!(world.head(&path, Some(&ann)).await.status, StatusCode::OK);
    }
    assert_eq!(manifest_gets(&world), 0);
}

#[tokio::test]
async fn other_registries_get_no_request_for_a_held_manifest() {
    let world = FrontFixture::new(SignIn::Bearer).await;
    let image = world.registry.push("a", "layer of a");
    let ann = world.bearer("a", ANN).await.expect("signed in");
    for _ in 0..2 {
        assert_eq!(world.pull("a", &image, Some(&ann)).await, StatusCode::OK);
    }
    assert_eq!(manifest_gets(&world), 2);
}

#[tokio::test]
async fn a_barred_image_is_refused_in_harbors_words_whatever_is_cached() {
    let (world, image, ann) = harbor().await;
    assert_eq!(world.pull("a", &image, Some(&ann)).await, StatusCode::OK);
    world.registry.bars_images(true);
    for path in [by_digest(&image), "/v2/a/manifests/v1".to_owned()] {
        let got = world.get(&path, Some(&ann)).await;
        assert_eq!(got.status, StatusCode::PRECONDITION_FAILED, "{path}");
        assert_eq!(got.body.expect("a body"), BARRED, "{path}");
    }
    let pull = world.pulls()[0].clone();
    assert_eq!(pull.status, StatusCode::PRECONDITION_FAILED.as_u16());
    let trouble = pull.trouble.expect("a reason");
    assert!(trouble.contains(BAR_MESSAGE), "{trouble}");
    world.stop_registry().await;
    let got = world.get(&by_digest(&image), Some(&ann)).await;
    assert_eq!(
        got.status,
        StatusCode::PRECONDITION_FAILED,
        "an outage lifts no bar"
    );
}

#[tokio::test]
async fn a_bar_by_tag_holds_for_the_tags_digest() {
    let (world, image, ann) = harbor().await;
    assert_eq!(world.pull("a", &image, Some(&ann)).await, StatusCode::OK);
    world.registry.bars_images(true);
    let got = world.get("/v2/a/manifests/v1", Some(&ann)).await;
    assert_eq!(got.status, StatusCode::PRECONDITION_FAILED);
    world.stop_registry().await;
    let got = world.get(&by_digest(&image), Some(&ann)).await;
    assert_eq!(got.status, StatusCode::PRECONDITION_FAILED);
}

#[tokio::test]
async fn a_bar_that_is_lifted_is_forgotten() {
    let (world, image, ann) = harbor().await;
    world.registry.bars_images(true);
    let barred = world.get(&by_digest(&image), Some(&ann)).await;
    assert_eq!(barred.status, StatusCode::PRECONDITION_FAILED);
    world.registry.bars_images(false);
    assert_eq!(world.pull("a", &image, Some(&ann)).await, StatusCode::OK);
    world.stop_registry().await;
    let got = world.get(&by_digest(&image), Some(&ann)).await;
    assert_eq!(got.status, StatusCode::OK);
}

#[tokio::test]
async fn the_last_answer_of_an_unreachable_harbor_counts() {
    let (mut world, image, ann) = harbor().await;
    assert_eq!(world.pull("a", &image, Some(&ann)).await, StatusCode::OK);
    world.stop_registry().await;
    world.let_time_pass(MINUTES);
    assert_eq!(world.pull("a", &image, Some(&ann)).await, StatusCode::OK);
    world.restart_front().await;
    let anonymous = world.get(&by_digest(&image), None).await;
    assert_eq!(
        anonymous.status,
        StatusCode::UNAUTHORIZED,
        "its challenge is known"
    );
}

#[tokio::test]
async fn a_refusal_ends_the_kept_grant() {
    let (world, image, ann) = harbor().await;
    assert_eq!(world.pull("a", &image, Some(&ann)).await, StatusCode::OK);
    world.registry.refuses_with(StatusCode::FORBIDDEN);
    let got = world.get(&by_digest(&image), Some(&ann)).await;
    assert_eq!(got.status, StatusCode::FORBIDDEN, "though a yes was fresh");
    world.stop_registry().await;
    let got = world.get(&by_digest(&image), Some(&ann)).await;
    assert_eq!(got.status, StatusCode::SERVICE_UNAVAILABLE);
}
