//! What of an image is preheated: its platforms, what attests to them, what refers to it, and what is left out.

use oci::Digest;
use preheat::{PreheatState, PreheatView, Scope};
use serde_json::{Value, json};

use crate::support::{OCI_INDEX, OCI_MANIFEST, World, descriptor, index, manifest};

const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

pub(crate) type Kept = (Digest, usize);

/// An index of two platforms, each with an attestation: 13 objects.
pub(crate) fn attested(world: &World) -> (Kept, [Kept; 4]) {
    let images =
        ["amd64", "arm64", "about amd64", "about arm64"].map(|name| world.registry.image(None, &[name]));
    let [amd64, arm64, about_amd64, about_arm64] = &images;
    let mut document = index(&[
        (amd64, OCI_MANIFEST, "amd64"),
        (arm64, OCI_MANIFEST, "arm64"),
        (about_amd64, OCI_MANIFEST, "unknown"),
        (about_arm64, OCI_MANIFEST, "unknown"),
    ]);
    for (at, subject) in [(2, amd64), (3, arm64)] {
        document["manifests"][at]["annotations"] = json!({
            "vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": subject.0,
        });
    }
    (world.registry.keep(Some("v1"), OCI_INDEX, &document), images)
}

pub(crate) async fn ended(
    world: &World,
    reference: &str,
    platforms: &[&str],
    referrers: Option<bool>,
) -> PreheatView {
    let mut request = world.request(reference, Scope::SingleSeedPeer);
    request.platforms = platforms.iter().map(|text| text.parse().unwrap()).collect();
    request.referrers = referrers;
    let id = world.submit_request(request).await;
    let is_resolved = |view: &PreheatView| view.state == PreheatState::Placing || view.state.has_ended();
    world.until(id, is_resolved).await
}

async fn objects(world: &World, view: &PreheatView) -> Vec<String> {
    let objects = preheat::objects(&world.preheater, view.id).await.unwrap();
    objects.into_iter().map(|object| object.digest).collect()
}

pub(crate) async fn world_with_seed() -> World {
    let world = World::start().await;
    world.seed("seed-1").await;
    world
}

#[tokio::test]
async fn attestations_are_preheated_with_the_platforms_that_they_are_about() {
    let world = world_with_seed().await;
    let (root, [amd64, arm64, about_amd64, about_arm64]) = attested(&world);
    let view = ended(&world, "v1", &["linux/amd64"], None).await;
    let held = objects(&world, &view).await;
    assert_eq!(held.len(), 7, "index, two manifests, two configs, two layers");
    for (digest, wanted) in [
        (&root, true),
        (&amd64, true),
        (&about_amd64, true),
        (&arm64, false),
        (&about_arm64, false),
    ] {
        assert_eq!(held.contains(&digest.0.to_string()), wanted, "{}", digest.0);
    }
    assert_eq!(ended(&world, "v1", &[], None).await.objects_total, 13);
}

#[tokio::test]
async fn each_platform_that_a_request_names_has_to_be_there() {
    let world = world_with_seed().await;
    attested(&world);
    let view = ended(
        &world,
        "v1",
        &["linux/amd64", "linux/s390x", "windows/amd64"],
        None,
    )
    .await;
    assert_eq!(view.state, PreheatState::Failed);
    let reason = view.reason.unwrap();
    insta::assert_snapshot!(world.without_host(&reason), @"the image has nothing for linux/s390x, windows/amd64; it has linux/amd64, linux/arm64");
    assert_eq!(view.side, Some(wire::Side::Caller));
    assert!(!reason.contains("unknown"), "{reason}");
}

/// An image without an index, whose config says its platform.
fn single(world: &World, tag: &str, config_type: &str, config: &Value) {
    let bytes = config.to_string().into_bytes();
    let digest = Digest::of(&bytes);
    world
        .registry
        .answers(digest.as_str(), 200, "application/octet-stream", &bytes);
    let mut document = manifest(&[tag]);
    document["config"] = json!({"mediaType": config_type, "digest": digest, "size": bytes.len()});
    world.registry.keep(Some(tag), OCI_MANIFEST, &document);
}

#[tokio::test]
async fn the_platform_of_an_image_without_an_index_is_in_its_config() {
    let world = world_with_seed().await;
    single(
        &world,
        "v1",
        CONFIG,
        &json!({"os": "linux", "architecture": "arm64", "variant": "v8"}),
    );
    let view = ended(&world, "v1", &["linux/arm64"], None).await;
    assert_eq!((view.state, view.objects_total), (PreheatState::Placing, 3));
    let view = ended(&world, "v1", &["linux/amd64"], None).await;
    let reason = view.reason.unwrap();
    insta::assert_snapshot!(world.without_host(&reason), @"the image has nothing for linux/amd64; it has linux/arm64/v8");
    single(
        &world,
        "chart",
        "application/vnd.cncf.helm.config.v1+json",
        &json!({"name": "app"}),
    );
    let view = ended(&world, "chart", &["linux/amd64"], None).await;
    assert_eq!(
        view.state,
        PreheatState::Placing,
        "a chart is for every machine: {view:?}"
    );
}

#[tokio::test]
async fn a_config_with_another_digest_is_refused() {
    let world = world_with_seed().await;
    let mut document = manifest(&["a"]);
    let digest = Digest::of(b"what was promised");
    document["config"] = json!({"mediaType": CONFIG, "digest": digest, "size": 40});
    world.registry.keep(Some("v1"), OCI_MANIFEST, &document);
    world.registry.answers(
        digest.as_str(),
        200,
        "",
        br#"{"os":"linux","architecture":"amd64"}"#,
    );
    let view = ended(&world, "v1", &["linux/amd64"], None).await;
    assert_eq!(
        (view.state, view.side),
        (PreheatState::Failed, Some(wire::Side::Registry))
    );
    let reason = view.reason.unwrap();
    insta::assert_snapshot!(world.without_host(&reason), @"config sha256:647d8685d767a6200661cc0b1a22666387867a62050a512a2183b450e3088416 cannot be preheated: its bytes do not match its digest; push the image again");
}

#[tokio::test]
async fn foreign_layers_are_left_out_and_noted() {
    let world = world_with_seed().await;
    let mut document = manifest(&["a"]);
    let foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    let mut layer = descriptor(foreign, "windows", 5);
    layer["urls"] = json!(["https://mcr.example.com/windows?token=secret"]);
    document["layers"] = json!([
        layer,
        descriptor("x/y", "a", 7),
        descriptor(foreign, "kept by the registry", 9)
    ]);
    world.registry.keep(Some("v1"), OCI_MANIFEST, &document);
    let view = ended(&world, "v1", &[], None).await;
    assert_eq!(view.objects_total, 4);
    let [note] = view.notes.as_slice() else {
        panic!("{:?}", view.notes)
    };
    let layer = Digest::of(b"windows").to_string();
    assert!(
        note.contains(&layer) && note.contains("mcr.example.com"),
        "{note}"
    );
    assert!(!note.contains("secret"), "{note}");
}

#[tokio::test]
async fn entries_of_an_index_that_are_no_manifest_are_left_out_and_noted() {
    let world = world_with_seed().await;
    let image = world.registry.image(None, &["a"]);
    let odd = (Digest::of(b"x"), 1);
    let document = index(&[
        (&image, OCI_MANIFEST, "amd64"),
        (&odd, "application/vnd.other+json", "amd64"),
    ]);
    world.registry.keep(Some("v1"), OCI_INDEX, &document);
    let view = ended(&world, "v1", &[], None).await;
    assert_eq!((view.state, view.objects_total), (PreheatState::Placing, 4));
    assert!(
        view.notes[0].contains("application/vnd.other+json"),
        "{:?}",
        view.notes
    );
}

#[tokio::test]
async fn an_index_that_lists_itself_or_an_index_above_it_is_refused() {
    let world = world_with_seed().await;
    // Digests make a true cycle impossible: a registry can only promise one and break it.
    let promised = Digest::of(b"the outer index");
    let inner = world.registry.keep(
        None,
        OCI_INDEX,
        &index(&[(&(promised.clone(), 15), OCI_INDEX, "amd64")]),
    );
    let outer = index(&[(&inner, OCI_INDEX, "amd64")]);
    world.registry.keep(Some("v1"), OCI_INDEX, &outer);
    world
        .registry
        .answers(promised.as_str(), 200, OCI_INDEX, outer.to_string().as_bytes());
    let id = world.submit("v1", Scope::SingleSeedPeer).await;
    let view = world.until(id, |view| view.reason.is_some()).await;
    assert!(view.reason.unwrap().contains(promised.short()));
}
