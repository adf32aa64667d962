use preheat::{ClusterSettings, PreheatState, Scope};
use serde_json::json;

use crate::support::{OCI_INDEX, OCI_MANIFEST, World, descriptor, index, manifest};

#[tokio::test]
async fn a_missing_image_fails_with_the_error_of_the_registry() {
    let world = World::start().await;
    let reason = world.reason_of_failure("v1").await;
    insta::assert_snapshot!(world.without_host(&reason), @"REGISTRY: manifest v1 of team/app not found: HTTP 404 (MANIFEST_UNKNOWN); check repository and tag, and that the credential can see the repository");
}

#[tokio::test]
async fn a_manifest_with_another_digest_is_refused() {
    let world = World::start().await;
    let wanted = oci::Digest::of(b"something else");
    world.registry.answers(
        wanted.as_str(),
        200,
        OCI_MANIFEST,
        manifest(&["a"]).to_string().as_bytes(),
    );
    world.seed("seed-1").await;
    let id = world.submit(wanted.as_str(), Scope::SingleSeedPeer).await;
    // The transfer may have been broken, so it is retried. Meanwhile the preheat shows the reason.
    let view = world.until(id, |view| view.reason.is_some()).await;
    insta::assert_snapshot!(world.without_host(&view.reason.unwrap()), @"REGISTRY: manifest sha256:f41f3fa625ff of team/app has wrong bytes: eee90f18866f, not f41f3fa625ff; check the registry's storage, or push the image again (attempt 1 of 5)");
    assert_eq!(view.objects_total, 0);
}

#[tokio::test]
async fn indexes_nested_too_deep_are_refused() {
    let world = World::start().await;
    let mut below = world.registry.image(None, &["a"]);
    let mut media_type = OCI_MANIFEST;
    for depth in 0..6 {
        let document = index(&[(&below, media_type, "amd64")]);
        let tag = (depth == 5).then_some("v1");
        below = world.registry.keep(tag, OCI_INDEX, &document);
        media_type = OCI_INDEX;
    }
    let reason = world.reason_of_failure("v1").await;
    insta::assert_snapshot!(world.without_host(&reason), @"manifest sha256:8d94a61f7063a75305a038dba1b03c9a0fc01de4bc1d74c348676fbea86a1867 cannot be preheated: its indexes are nested deeper than 4 levels; push the image again");
}

#[tokio::test]
async fn an_index_of_allowed_depth_is_resolved() {
    let world = World::start().await;
    world.seed("seed-1").await;
    let below = world.registry.image(None, &["a"]);
    let inner = world
        .registry
        .keep(None, OCI_INDEX, &index(&[(&below, OCI_MANIFEST, "amd64")]));
    world
        .registry
        .keep(Some("v1"), OCI_INDEX, &index(&[(&inner, OCI_INDEX, "amd64")]));
    let id = world.submit("v1", Scope::SingleSeedPeer).await;
    assert_eq!(
        world.until_state(id, PreheatState::Placing).await.objects_total,
        5
    );
}

#[tokio::test]
async fn an_image_of_too_many_objects_is_refused() {
    let limits = preheat::Limits {
        max_objects: 10,
        ..preheat::Limits::default()
    };
    let world = World::with_limits(limits).await;
    let layers: Vec<String> = (0..20).map(|n| n.to_string()).collect();
    let layers: Vec<&str> = layers.iter().map(String::as_str).collect();
    world.registry.image(Some("v1"), &layers);
    let reason = world.reason_of_failure("v1").await;
    insta::assert_snapshot!(world.without_host(&reason), @"the image cannot be preheated: it has more than 10 objects; push the image again");
}

#[tokio::test]
async fn one_digest_with_two_sizes_is_refused() {
    let world = World::start().await;
    let mut document = manifest(&["a"]);
    document["layers"] = json!([descriptor("x/y", "a", 1), descriptor("x/y", "a", 2)]);
    world.registry.keep(Some("v1"), OCI_MANIFEST, &document);
    let reason = world.reason_of_failure("v1").await;
    insta::assert_snapshot!(world.without_host(&reason), @"the image cannot be preheated: sha256:ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb is listed with two sizes, 1 bytes and 2 bytes; push the image again");
}

#[tokio::test]
async fn a_manifest_of_another_size_than_its_index_says_is_refused() {
    let world = World::start().await;
    let (digest, size) = world.registry.image(None, &["a"]);
    let document = index(&[(&(digest, size + 1), OCI_MANIFEST, "amd64")]);
    world.registry.keep(Some("v1"), OCI_INDEX, &document);
    let reason = world.reason_of_failure("v1").await;
    insta::assert_snapshot!(world.without_host(&reason), @"the image cannot be preheated: sha256:eee90f18866f8e186221a428ab86acfcf8c235126fd6f792dd832f1f8b0c4e3b is listed with two sizes, 401 bytes and 400 bytes; push the image again");
}

#[tokio::test]
async fn huge_manifests_and_images_are_refused() {
    let world = World::start().await;
    world
        .registry
        .answers("v1", 200, OCI_MANIFEST, &vec![b' '; 5 * 1024 * 1024]);
    let reason = world.reason_of_failure("v1").await;
    insta::assert_snapshot!(world.without_host(&reason), @"REGISTRY: manifest v1 of team/app is larger than 4194304 bytes; check that this address is a registry, and push the image again");
    let mut document = manifest(&["a"]);
    document["layers"] = json!([descriptor("x/y", "a", i64::MAX), descriptor("x/y", "b", i64::MAX)]);
    world.registry.keep(Some("v2"), OCI_MANIFEST, &document);
    let reason = world.reason_of_failure("v2").await;
    insta::assert_snapshot!(world.without_host(&reason), @"the image cannot be preheated: its objects add up to more than 17592186044416 bytes; push the image again");
}

#[tokio::test]
async fn duplicate_and_empty_layers_are_fine_and_foreign_ones_are_skipped() {
    let world = World::start().await;
    world.seed("seed-1").await;
    let mut document = manifest(&["a"]);
    let mut foreign = descriptor(
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "w",
        5,
    );
    foreign["urls"] = json!(["https://example.com/w"]);
    document["layers"] = json!([
        descriptor("x/y", "a", 7),
        descriptor("x/y", "a", 7),
        descriptor("x/y", "", 0),
        foreign
    ]);
    world.registry.keep(Some("v1"), OCI_MANIFEST, &document);
    let id = world.submit("v1", Scope::SingleSeedPeer).await;
    let view = world.until_state(id, PreheatState::Placing).await;
    assert_eq!(view.objects_total, 4);
}

#[tokio::test]
async fn documents_that_are_no_image_are_refused() {
    let world = World::start().await;
    let documents = [
        ("v1", OCI_MANIFEST, json!("text")),
        ("v2", "application/json", json!({ "schemaVersion": 2 })),
        (
            "v3",
            OCI_INDEX,
            index(&[(&(oci::Digest::of(b"x"), 1), "application/vnd.wasm", "amd64")]),
        ),
        (
            "v4",
            "application/vnd.docker.distribution.manifest.v1+json",
            json!({ "schemaVersion": 1 }),
        ),
    ];
    for (tag, media_type, document) in documents {
        world.registry.keep(Some(tag), media_type, &document);
        let reason = world.reason_of_failure(tag).await;
        assert!(!reason.is_empty());
    }
}

#[tokio::test]
async fn a_failing_registry_is_retried_and_then_given_up() {
    let world = World::start().await;
    world.seed("seed-1").await;
    world.registry.answers("v1", 503, "text/plain", b"out of order");
    let id = world.submit("v1", Scope::SingleSeedPeer).await;
    let view = world.until(id, |view| view.reason.is_some()).await;
    assert!(view.reason.unwrap().contains(&attempt(1)));
    for number in 2..=5 {
        let reached = attempt(number);
        world
            .until(id, |view| {
                // The time of the next attempt is decided after the last one is reported.
                world.clock.advance(500);
                view.state.has_ended() || view.reason.as_ref().is_some_and(|r| r.contains(&reached))
            })
            .await;
    }
    let view = world.until_state(id, PreheatState::Failed).await;
    assert_eq!(view.side, Some(wire::Side::Registry));
    let reason = view.reason.unwrap();
    insta::assert_snapshot!(world.without_host(&reason), @"REGISTRY: manifest v1 of team/app failed: HTTP 503 (out of order); check the registry's log");
}

/// How the reason of an open preheat counts its attempts.
fn attempt(number: u32) -> String {
    format!("attempt {number} of 5")
}

#[tokio::test]
async fn a_request_without_platforms_gets_those_of_its_clusters() {
    let settings = ClusterSettings {
        platforms: vec!["linux/amd64".parse().unwrap()],
        ..ClusterSettings::default()
    };
    let world = World::with_cluster(settings).await;
    world.seed("seed-1").await;
    let amd64 = world.registry.image(None, &["a"]);
    let arm64 = world.registry.image(None, &["b"]);
    let entries = [(&amd64, OCI_MANIFEST, "amd64"), (&arm64, OCI_MANIFEST, "arm64")];
    world.registry.keep(Some("v1"), OCI_INDEX, &index(&entries));
    let found = async |id| world.until_state(id, PreheatState::Placing).await.objects_total;
    let id = world.submit("v1", Scope::SingleSeedPeer).await;
    assert_eq!(found(id).await, 4);
    let mut request = world.request("v1", Scope::SingleSeedPeer);
    request.platforms = vec!["linux/arm64".parse().unwrap(), "linux/amd64".parse().unwrap()];
    let id = world.submit_request(request).await;
    assert_eq!(found(id).await, 7, "what a request names goes first");
    world
        .peer("core-seed", wire::Role::Seed, "core", uuid::Uuid::new_v4())
        .await;
    let id = world.submit("v1", Scope::SingleSeedPeer).await;
    assert_eq!(found(id).await, 7, "the other cluster wants everything");
}
