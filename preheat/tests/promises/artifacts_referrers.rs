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
    let plain_digest = plain.to_string();
    let says_nothing = json!({"mediaType": OCI_MANIFEST, "digest": plain, "size": size});
    let lost = json!({"mediaType": OCI_MANIFEST, "digest": Digest::of(b"lost"), "size": 5});
    let broken = world
        .registry
        .keep(None, OCI_MANIFEST, &json!({"schemaVersion": 2, "layers": "none"}));
    let broken_digest = broken.0.to_string();
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
    let lost = Digest::of(b"lost").to_string();
    for field in [
        other.0.as_str(),
        plain_digest.as_str(),
        "404",
        lost.as_str(),
        broken_digest.as_str(),
    ] {
        assert!(notes.contains(field), "{field}: {notes}");
    }
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
    assert!(
        view.notes.iter().any(|note| note.contains(" 9900 ")),
        "{:?}",
        view.notes
    );
    assert!(view.notes.len() < 30);
    assert!(world.registry.requests().len() < 120);

    let image = world.registry.image(Some("v2"), &["b"]);
    let mut huge = referrer(&world, &image, "huge");
    huge["annotations"] = json!({"x": "y".repeat(5 * 1024 * 1024)});
    list(&world, &image, &[huge]);
    let view = ended(&world, "v2", &[], Some(true)).await;
    assert_eq!((view.state, view.objects_total), (PreheatState::Placing, 3));
    let limit = oci::manifest::BYTES_LIMIT.to_string();
    assert!(view.notes[0].contains(&limit), "{:?}", view.notes);
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
