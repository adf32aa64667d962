use http::StatusCode;
use oci::Digest;

use super::support::{FrontFixture, SignIn, basic};

#[tokio::test]
async fn a_tag_has_the_registrys_present_meaning() {
    let world = FrontFixture::new(SignIn::None).await;
    let old = world.registry.push("a", "old layer");
    assert_eq!(world.pull("a", &old, None).await, StatusCode::OK);
    let new = world.registry.push("a", "new layer");
    assert_eq!(world.pull("a", &new, None).await, StatusCode::OK);
}

#[tokio::test]
async fn a_tag_falls_back_to_the_youngest_record_of_the_seeds() {
    let mut world = FrontFixture::new(SignIn::Basic).await;
    let image = world.registry.push("a", "layer of a");
    let ann = basic("ann", "pw-ann");
    assert_eq!(
        world.pull_by_digest("a", &image, Some(&ann)).await,
        StatusCode::OK
    );
    let stale = world.meant("a", &Digest::of(b"long ago"), 1);
    let young = world.meant("a", &image.index, 2);
    for record in [stale, young] {
        let signed = world.signer.tag(&record);
        world.add_seed().await.record_signed_tag(&record, &signed);
    }
    world.stop_registry().await;
    assert_eq!(world.pull("a", &image, Some(&ann)).await, StatusCode::OK);
    let unknown = world.head("/v2/a/manifests/never-seen", Some(&ann)).await;
    assert_eq!(unknown.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn the_meaning_of_a_tag_is_no_grant() {
    let mut world = FrontFixture::new(SignIn::Basic).await;
    let image = world.registry.push("a", "layer of a");
    assert_eq!(
        world.pull("a", &image, Some(&basic("ann", "pw-ann"))).await,
        StatusCode::OK
    );
    world.add_seed().await;
    world.stop_registry().await;
    let bob = world
        .get("/v2/a/manifests/v1", Some(&basic("bob", "pw-bob")))
        .await;
    assert_eq!(bob.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn a_deleted_tag_is_not_served() {
    let world = FrontFixture::new(SignIn::None).await;
    world.registry.push("a", "layer of a");
    let got = world.get("/v2/a/manifests/other", None).await;
    assert_eq!(got.status, StatusCode::NOT_FOUND);
    let text = String::from_utf8(got.body.expect("a body").to_vec()).expect("text");
    assert!(text.contains("MANIFEST_UNKNOWN"), "{text}");
}

#[tokio::test]
async fn a_manifest_that_the_registry_has_by_tag_only_is_pulled_by_its_tag() {
    let world = FrontFixture::new(SignIn::None).await;
    let image = world.registry.push("a", "layer of a");
    let by_digest = format!("/v2/a/manifests/{}", image.index);
    for method in ["GET", "HEAD"] {
        let start = format!("{method} {by_digest}");
        world.registry.answers(&start, StatusCode::NOT_FOUND);
    }
    let cold = world.get(&by_digest, None).await;
    assert_eq!(cold.status, StatusCode::NOT_FOUND);
    let by_tag = world.get("/v2/a/manifests/v1", None).await;
    assert_eq!(by_tag.status, StatusCode::OK);
    assert_eq!(Digest::of(&by_tag.body.expect("a body")), image.index);
    let held = world.get(&by_digest, None).await;
    assert_eq!(held.status, StatusCode::OK, "the tag's response is the grant");
}
