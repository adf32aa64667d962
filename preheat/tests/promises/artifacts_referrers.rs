//! What refers to an image: signatures, lists of contents, attestations, and what hostile ones get.

use oci::Digest;
use preheat::{ClusterSettings, PreheatState, Scope};
use serde_json::{Value, json};

use crate::artifacts::{Kept, attested, ended, world_with_seed};
use crate::support::{OCI_INDEX, OCI_MANIFEST, World, manifest};

/// A manifest that refers to another one: 3 objects.
fn referrer(world: &World, subject: &Kept, name: &str) -> Value {
    let mut document = manifest(&[name]);
    document["artifactType"] = json!("application/spdx+json");
    document["subject"] = json!({"mediaType": OCI_MANIFEST, "digest": subject.0, "size": subject.1});
    let (digest, size) = world.registry.keep(None, OCI_MANIFEST, &document);
    json!({"mediaType": OCI_MANIFEST, "digest": digest, "size": size, "artifactType": "application/spdx+json"})
}

fn list(world: &World, subject: &Kept, entries: &[Value]) {
    let document = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries});
    let reference = format!("referrers/{}", subject.0);
    world
        .registry
        .answers(&reference, 200, OCI_INDEX, document.to_string().as_bytes());
}

#[tokio::test]
async fn referrers_of_an_image_are_preheated_if_wanted() {
    let world = world_with_seed().await;
    let image = world.registry.image(Some("v1"), &["a"]);
    let entries = ["sbom", "signature"].map(|name| referrer(&world, &image, name));
    list(&world, &image, &entries);
    assert_eq!(ended(&world, "v1", &[], None).await.objects_total, 3);
    assert!(
        !world
            .registry
            .requests()
            .iter()
            .any(|line| line.contains("referrers"))
    );
    let view = ended(&world, "v1", &[], Some(true)).await;
    assert_eq!((view.objects_total, view.notes.len()), (9, 0), "{:?}", view.notes);
    assert_eq!(ended(&world, "v1", &[], Some(false)).await.objects_total, 3);
}

#[tokio::test]
async fn a_signature_that_came_since_is_not_forgotten() {
    let world = world_with_seed().await;
    let image = world.registry.image(Some("v1"), &["a"]);
    assert_eq!(ended(&world, "v1", &[], Some(true)).await.objects_total, 3);
    list(&world, &image, &[referrer(&world, &image, "signature")]);
    let view = ended(&world, "v1", &[], Some(true)).await;
    assert_eq!((view.objects_total, view.follows), (6, None));
    assert!(
        ended(&world, "v1", &[], Some(true)).await.follows.is_some(),
        "now they are equal"
    );
}

#[tokio::test]
async fn a_cluster_may_want_referrers() {
    let settings = ClusterSettings {
        referrers: true,
        ..ClusterSettings::default()
    };
    let world = World::with_cluster(settings).await;
    world.seed("seed-1").await;
    let image = world.registry.image(Some("v1"), &["a"]);
    list(&world, &image, &[referrer(&world, &image, "sbom")]);
    assert_eq!(ended(&world, "v1", &[], None).await.objects_total, 6);
    assert_eq!(ended(&world, "v1", &[], Some(false)).await.objects_total, 3);
}

#[tokio::test]
async fn a_registry_without_lists_is_asked_by_tag() {
    let world = world_with_seed().await;
    let (root, [amd64, ..]) = attested(&world);
    let tag = |subject: &Kept, ending: &str| format!("sha256-{}{ending}", subject.0.hex());
    let entries = [referrer(&world, &root, "sbom")];
    let document = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries});
    world.registry.keep(Some(&tag(&root, "")), OCI_INDEX, &document);
    for (subject, ending) in [(&root, ".sig"), (&amd64, ".att"), (&amd64, ".sbom")] {
        let name = tag(subject, ending);
        world.registry.image(Some(&name), &[&name]);
    }
    let view = ended(&world, "v1", &["linux/amd64"], Some(true)).await;
    // 7 of the image, the index of the tag and 3 of its entry, 3 of each of cosign's.
    assert_eq!(
        (view.objects_total, view.notes.len()),
        (7 + 4 + 9, 0),
        "{:?}",
        view.notes
    );
}

#[tokio::test]
async fn invalid_referrers_are_left_out_and_noted() {
    let world = world_with_seed().await;
    let image = world.registry.image(Some("v1"), &["a"]);
    let other = world.registry.image(None, &["another image"]);
    let good = referrer(&world, &image, "good");
    let of_another = referrer(&world, &other, "of another image");
    let mut lies_about_size = referrer(&world, &image, "lies about its size");
    lies_about_size["size"] = json!(1);
    let (plain, size) = world.registry.image(None, &["says nothing"]);
    let says_nothing = json!({"mediaType": OCI_MANIFEST, "digest": plain, "size": size});
    let lost = json!({"mediaType": OCI_MANIFEST, "digest": Digest::of(b"lost"), "size": 5});
    let broken = world
        .registry
        .keep(None, OCI_MANIFEST, &json!({"schemaVersion": 2, "layers": "none"}));
    let broken = json!({"mediaType": OCI_MANIFEST, "digest": broken.0, "size": broken.1});
    list(
        &world,
        &image,
        &[of_another, lies_about_size, says_nothing, lost, broken, good],
    );
    let view = ended(&world, "v1", &[], Some(true)).await;
    assert_eq!(
        (view.state, view.objects_total),
        (PreheatState::Placing, 6),
        "{view:?}"
    );
    assert_eq!(view.notes.len(), 5, "{:?}", view.notes);
    let notes = view.notes.join("\n");
    insta::assert_snapshot!(world.without_host(&notes), @r#"
left out: a referrer of sha256:eee90f18866f8e186221a428ab86acfcf8c235126fd6f792dd832f1f8b0c4e3b: sha256:f9038a5601bfdbeda3007ef2500134f1bc5567a69f601ba96f72d95979ef15e5 refers to sha256:021b0d35615ad432448a62d053a7d4812c319429499a2a95eecbbd9c519615df, not to sha256:eee90f18866f8e186221a428ab86acfcf8c235126fd6f792dd832f1f8b0c4e3b
left out: a referrer of sha256:eee90f18866f8e186221a428ab86acfcf8c235126fd6f792dd832f1f8b0c4e3b: the image cannot be preheated: sha256:87d94906fa8871f1cbaab8b6a99e13c1b09c16a48010010c98dce822ecd2c22e is listed with two sizes, 1 bytes and 602 bytes; push the image again
left out: a referrer of sha256:eee90f18866f8e186221a428ab86acfcf8c235126fd6f792dd832f1f8b0c4e3b: sha256:1903632e5839542a1c1b17f7e09d72090b2dab9b018ce53e9753d984ddc15692 refers to nothing, not to sha256:eee90f18866f8e186221a428ab86acfcf8c235126fd6f792dd832f1f8b0c4e3b
left out: a referrer of sha256:eee90f18866f8e186221a428ab86acfcf8c235126fd6f792dd832f1f8b0c4e3b: REGISTRY: manifest sha256:76f75e6129fe of team/app not found: HTTP 404 (MANIFEST_UNKNOWN); check repository and tag, and that the credential can see the repository
left out: a referrer of sha256:eee90f18866f8e186221a428ab86acfcf8c235126fd6f792dd832f1f8b0c4e3b: manifest sha256:00d212a58bd32df59cd259fd3c2c9b10c667c84e09858e7150b29960aab8f109 cannot be preheated: it cannot be read: a value has the wrong type at line 1 column 16; push the image again
"#);
}

#[tokio::test]
async fn ten_thousand_referrers_and_huge_annotations_do_not_stop_a_preheat() {
    let world = world_with_seed().await;
    let image = world.registry.image(Some("v1"), &["a"]);
    let one = |number: usize| json!({"mediaType": OCI_MANIFEST, "digest": Digest::of(&number.to_be_bytes()), "size": 9});
    let many: Vec<Value> = (0..10_000).map(one).collect();
    list(&world, &image, &many);
    let view = ended(&world, "v1", &[], Some(true)).await;
    assert_eq!((view.state, view.objects_total), (PreheatState::Placing, 3));
    let left_out = view.notes.iter().find(|note| note.contains("9900"));
    insta::assert_snapshot!(world.without_host(left_out.expect("a note")), @"left out: 9900 referrers of sha256:eee90f18866f8e186221a428ab86acfcf8c235126fd6f792dd832f1f8b0c4e3b");
    assert!(view.notes.len() < 30);
    assert!(world.registry.requests().len() < 120);

    let image = world.registry.image(Some("v2"), &["b"]);
    let mut huge = referrer(&world, &image, "huge");
    huge["annotations"] = json!({"x": "y".repeat(5 * 1024 * 1024)});
    list(&world, &image, &[huge]);
    let view = ended(&world, "v2", &[], Some(true)).await;
    assert_eq!((view.state, view.objects_total), (PreheatState::Placing, 3));
    insta::assert_snapshot!(world.without_host(&view.notes[0]), @"the referrers of sha256:b7af86434200451cfd462a30bb901af7cd024e2974e38d3f98e4684bbdca91ab are unknown: REGISTRY: referrers of sha256:b7af86434200 of team/app is larger than 4194304 bytes; check that this address is a registry, and push the image again");
}

#[tokio::test]
async fn a_referrers_list_that_fails_now_is_requested_again() {
    let world = world_with_seed().await;
    let image = world.registry.image(Some("v1"), &["a"]);
    world.registry.answers(
        &format!("referrers/{}", image.0),
        503,
        "text/plain",
        b"out of order",
    );
    let mut request = world.request("v1", Scope::SingleSeedPeer);
    request.referrers = Some(true);
    let id = world.submit_request(request).await;
    let view = world.until(id, |view| view.reason.is_some()).await;
    assert!(view.reason.unwrap().contains("503"));
    assert_eq!(view.objects_total, 0);
}
