//! Manifests that runtimes pull although they are not to the letter of the specification, and registries that have only
//! a part of an image under its digest.

use oci::Digest;
use preheat::{PreheatState, PreheatView, Scope};
use serde_json::{Value, json};

use crate::artifacts::{attested, ended, world_with_seed};
use crate::support::{OCI_INDEX, OCI_MANIFEST, World, descriptor, index, manifest};

const ARTIFACT: &str = "application/vnd.oci.artifact.manifest.v1+json";

/// Removes a manifest from the registry.
fn lose(world: &World, digest: &Digest) {
    let lost = br#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#;
    world
        .registry
        .answers(digest.as_str(), 404, "application/json", lost);
}

fn resolved(view: &PreheatView) -> (PreheatState, u64, &[String]) {
    (view.state, view.objects_total, &view.notes)
}

fn placing(objects: u64) -> (PreheatState, u64, &'static [String]) {
    (PreheatState::Placing, objects, &[])
}

#[tokio::test]
async fn manifests_without_lists_or_config_are_preheated() {
    let world = world_with_seed().await;
    let mut without_layers = manifest(&[]);
    without_layers["layers"] = json!(null);
    let mut without_config = manifest(&["a"]);
    without_config["config"] = json!(null);
    let blobs = [descriptor("x/y", "a", 7), descriptor("x/y", "b", 7)];
    let erofs = descriptor("application/vnd.erofs.layer.v1", "erofs", 7);
    let documents = [
        ("v1", OCI_MANIFEST, without_layers, 2),
        ("v2", OCI_MANIFEST, without_config, 2),
        (
            "v3",
            OCI_INDEX,
            json!({"mediaType": OCI_INDEX, "manifests": null}),
            1,
        ),
        ("v4", ARTIFACT, json!({"mediaType": ARTIFACT, "blobs": blobs}), 3),
        (
            "v5",
            OCI_MANIFEST,
            json!({"mediaType": OCI_MANIFEST, "layers": [erofs]}),
            2,
        ),
    ];
    for (tag, media_type, document, objects) in documents {
        world.registry.keep(Some(tag), media_type, &document);
        let view = ended(&world, tag, &[], None).await;
        assert_eq!(resolved(&view), placing(objects), "{tag}: {view:?}");
    }
}

/// An index of an image for amd64, and an entry of an unknown algorithm for s390x.
fn mixed(world: &World) {
    let amd64 = world.registry.image(None, &["a"]);
    let mut document = index(&[(&amd64, OCI_MANIFEST, "amd64"), (&amd64, OCI_MANIFEST, "s390x")]);
    document["manifests"][1]["digest"] = json!("blake3:abcdef");
    world.registry.keep(Some("v1"), OCI_INDEX, &document);
}

#[tokio::test]
async fn an_unusable_entry_matters_only_if_its_platform_is_wanted() {
    let world = world_with_seed().await;
    mixed(&world);
    let view = ended(&world, "v1", &["linux/amd64"], None).await;
    assert_eq!((view.state, view.objects_total), (PreheatState::Placing, 4));
    insta::assert_snapshot!(view.notes.join("\n"), @"");
    for platforms in [vec![], vec!["linux/s390x"]] {
        let view = ended(&world, "v1", &platforms, None).await;
        assert_eq!(
            (view.state, view.side),
            (PreheatState::Failed, Some(wire::Side::Registry))
        );
        insta::allow_duplicates!(insta::assert_snapshot!(view.reason.unwrap(), @""));
    }
}

#[tokio::test]
async fn an_unusable_layer_is_named() {
    let world = world_with_seed().await;
    let mut document = manifest(&["a", "b"]);
    document["layers"][1]["digest"] = json!("blake3:abcdef");
    world.registry.keep(Some("v1"), OCI_MANIFEST, &document);
    let view = ended(&world, "v1", &[], None).await;
    insta::assert_snapshot!(view.reason.unwrap(), @"");
}

#[tokio::test]
async fn an_index_whose_registry_lacks_a_platform_names_the_platform() {
    let world = world_with_seed().await;
    let amd64 = world.registry.image(None, &["a"]);
    let arm64 = world.registry.image(None, &["b"]);
    let entries = [(&amd64, OCI_MANIFEST, "amd64"), (&arm64, OCI_MANIFEST, "arm64")];
    world.registry.keep(Some("v1"), OCI_INDEX, &index(&entries));
    lose(&world, &arm64.0);
    let view = ended(&world, "v1", &["linux/amd64"], None).await;
    assert_eq!(resolved(&view), placing(4));
    let view = ended(&world, "v1", &[], None).await;
    assert_eq!(
        (view.state, view.side),
        (PreheatState::Failed, Some(wire::Side::Registry))
    );
    insta::assert_snapshot!(world.without_host(&view.reason.unwrap()), @"");
}

#[tokio::test]
async fn attestations_that_the_registry_lacks_are_noted() {
    let world = world_with_seed().await;
    let (_, [_, _, about_amd64, about_arm64]) = attested(&world);
    lose(&world, &about_amd64.0);
    let broken = json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": "none"});
    world.registry.answers(
        about_arm64.0.as_str(),
        200,
        OCI_MANIFEST,
        broken.to_string().as_bytes(),
    );
    let view = ended(&world, "v1", &["linux/amd64"], None).await;
    assert_eq!(
        (view.state, view.objects_total, view.notes.len()),
        (PreheatState::Placing, 4, 1)
    );
}

#[tokio::test]
async fn half_a_platform_is_completed_from_the_config() {
    let world = world_with_seed().await;
    let config = json!({"os": "linux", "architecture": "arm64"}).to_string();
    let config_digest = Digest::of(config.as_bytes());
    world.registry.answers(
        config_digest.as_str(),
        200,
        "application/octet-stream",
        config.as_bytes(),
    );
    let mut document = manifest(&["a"]);
    document["config"]["digest"] = json!(config_digest);
    document["config"]["size"] = json!(config.len());
    let arm64 = world.registry.keep(None, OCI_MANIFEST, &document);
    let lost = (Digest::of(b"not in the registry"), 5);
    let mut document = index(&[(&arm64, OCI_MANIFEST, "arm64"), (&lost, OCI_MANIFEST, "amd64")]);
    for (entry, half) in [(0, json!({"os": "linux"})), (1, json!({"architecture": "amd64"}))] {
        document["manifests"][entry]["platform"] = half;
        document["manifests"][entry]["size"] = Value::Null;
    }
    world.registry.keep(Some("v1"), OCI_INDEX, &document);
    let view = ended(&world, "v1", &["linux/arm64"], None).await;
    assert_eq!(resolved(&view), placing(4), "{view:?}");
}

#[tokio::test]
async fn a_manifest_by_tag_only_is_handed_to_the_seed() {
    let world = World::start().await;
    let seed = world.seed("seed-1").await;
    let node = world.node("node-1").await;
    let image = world.registry.image(Some("v1"), &["a"]);
    lose(&world, &image.0);
    for round in 0..2 {
        let id = world.submit("v1", Scope::AllPeers).await;
        world.until_state(id, PreheatState::Placing).await;
        let lots = seed.take().await;
        let carried: Vec<_> = lots[0]
            .placements
            .iter()
            .filter_map(|order| order.bytes.clone())
            .collect();
        assert_eq!(carried.len(), 1, "round {round}");
        assert_eq!(Digest::of(carried[0].bytes()), image.0);
        seed.verify_all(&lots).await;
        let lots = node.take().await;
        assert!(lots[0].placements.iter().all(|order| order.bytes.is_none()));
        node.verify_all(&lots).await;
        world.until_state(id, PreheatState::Succeeded).await;
    }
}

#[tokio::test]
async fn objects_that_a_manifest_embeds_are_handed_to_the_seed() {
    let world = World::start().await;
    let seed = world.seed("seed-1").await;
    let mut document = manifest(&["a"]);
    document["config"] = json!({
        "mediaType": "application/vnd.oci.empty.v1+json", "size": 2, "digest": Digest::of(b"{}"), "data": "e30=",
    });
    world.registry.keep(Some("v1"), OCI_MANIFEST, &document);
    world.submit("v1", Scope::SingleSeedPeer).await;
    let lots = seed.take().await;
    let carried: Vec<_> = lots[0]
        .placements
        .iter()
        .filter(|order| order.bytes.is_some())
        .collect();
    assert_eq!(carried.len(), 1);
    assert_eq!(carried[0].digest, Digest::of(b"{}").to_string());
}

#[tokio::test]
async fn referrers_that_fail_for_good_do_not_fail_the_image() {
    let world = world_with_seed().await;
    let image = world.registry.image(Some("v1"), &["a"]);
    let list = format!("referrers/{}", image.0);
    world.registry.answers(&list, 503, "text/plain", b"out of order");
    let mut request = world.request("v1", Scope::SingleSeedPeer);
    request.referrers = Some(true);
    let id = world.submit_request(request).await;
    let view = world
        .until(id, |view| {
            // The time of the next attempt is decided after the last one is reported.
            world.clock.advance(500);
            view.state == PreheatState::Placing || view.state.has_ended()
        })
        .await;
    assert_eq!(
        (view.state, view.objects_total, view.notes.len()),
        (PreheatState::Placing, 3, 1)
    );
    assert!(view.notes[0].contains("503"), "{:?}", view.notes);
}
