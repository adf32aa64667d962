//! Every kind of artifact on a real docker-registry: what is pushed is what the seed holds, byte for byte.

mod kinds;

use serde_json::{Value, json};
use world::harbor::Wish;
use world::image::artifact::{Artifact, digest_of, estargz, gzip, image_config, tar, zstd};
use world::sha256sum::{assert_seed_holds, sealed_digests};
use world::{Containerd, Image, ImageSpec, LayerSpec, Manager, ManagerSpec, Registry};

use self::kinds::{EMPTY, attested, image, kinds, nested};
use crate::{LIMIT, assert_lists, described, preheat_well, up};

async fn plain_site(config: &str) -> (Registry, Manager) {
    let registry = Registry::plain().await;
    let config = described(&registry, None) + config;
    let manager = ManagerSpec::new().config(&config).start_up().await;
    (registry, manager)
}

/// Asks natively and waits for the end, whatever it is.
async fn asked(manager: &Manager, mut request: Value, registry: &Registry, tag: &str) -> Value {
    request["image"] = json!(format!("http://{}/library/app:{tag}", registry.host()));
    let made = manager.post("/api/v1/preheats", &request).await;
    let path = format!("/api/v1/preheats/{}", made["id"]);
    world::eventually("the preheat has ended", LIMIT, async || {
        let view = manager.get(&path).await;
        let has_ended = ["succeeded", "failed"]
            .iter()
            .any(|state| view["state"] == **state);
        has_ended.then_some(view)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_artifact_is_held_byte_for_byte() {
    let (registry, manager) = plain_site("").await;
    for (name, artifact) in kinds() {
        registry.push_artifact(&artifact, "library/app", name).await;
        let poll = preheat_well(&manager, &Wish::new(registry.manifest_url("library/app", name))).await;
        let listed = poll.digests();
        for digest in artifact.digests() {
            assert!(
                listed.contains(&digest),
                "{name}: {digest} is not in Harbor's table"
            );
        }
        assert_seed_holds(&manager.peer_data_dir(), artifact.digests()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dockers_lists_and_indexes_in_indexes_are_held_whole() {
    let (registry, manager) = plain_site("").await;
    let docker: Image = ImageSpec::new(61)
        .docker()
        .platforms(["linux/amd64", "linux/arm64/v8"])
        .layer(LayerSpec::of(20_000))
        .build();
    registry.push(&docker, "library/app", "docker").await;
    let poll = preheat_well(
        &manager,
        &Wish::new(registry.manifest_url("library/app", "docker")),
    )
    .await;
    assert_lists(&poll, &docker);
    assert_seed_holds(&manager.peer_data_dir(), docker.digests()).await;
    let (outer, digests) = nested(62);
    registry.push_artifact(&outer, "library/app", "nested").await;
    preheat_well(
        &manager,
        &Wish::new(registry.manifest_url("library/app", "nested")),
    )
    .await;
    assert_seed_holds(&manager.peer_data_dir(), digests).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runtime_pulls_zstd_and_estargz_layers_from_the_cache() {
    let (mut registry, manager) = plain_site("").await;
    let estargz_layer = estargz("data/file", b"lazily");
    let mut files = Vec::new();
    let mut unpacked = flate2::read::MultiGzDecoder::new(estargz_layer.as_slice());
    std::io::Read::read_to_end(&mut unpacked, &mut files).expect("gzip");
    let lazy = Artifact::with(
        image_config("linux/amd64", &[digest_of(&files)]),
        vec![("application/vnd.oci.image.layer.v1.tar+gzip", estargz_layer)],
        |manifest| {
            manifest["layers"][0]["annotations"] = json!({"containerd.io/snapshot/stargz/toc.digest": "x"});
        },
    );
    let zstd = image(b"packed", "application/vnd.oci.image.layer.v1.tar+zstd", zstd);
    for (tag, artifact) in [("lazy", &lazy), ("zstd", &zstd)] {
        registry.push_artifact(artifact, "library/app", tag).await;
        preheat_well(&manager, &Wish::new(registry.manifest_url("library/app", tag))).await;
        assert_seed_holds(&manager.peer_data_dir(), artifact.digests()).await;
    }
    registry.stop();
    let containerd = Containerd::start().await;
    containerd.mirror_only(&registry, &manager.front_url());
    for tag in ["lazy", "zstd"] {
        let name = format!("{}/library/app:{tag}", registry.host());
        containerd
            .pull(&name, None)
            .await
            .expect("pulled with the registry down");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_layer_is_left_out_and_said() {
    let (registry, manager) = plain_site("").await;
    let foreign_type = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    let foreign = digest_of(b"only Microsoft has it");
    let windows = Artifact::with(
        image_config("windows/amd64", &[]),
        vec![(
            "application/vnd.docker.image.rootfs.diff.tar.gzip",
            gzip(&tar(&[("Files/x", b"x")])),
        )],
        |manifest| {
            let layers = manifest["layers"].as_array_mut().expect("layers");
            layers.insert(
                0,
                json!({
                    "mediaType": foreign_type, "digest": foreign, "size": 21,
                    "urls": ["https://mcr.example.com/v2/windows/servercore/blobs/x"],
                }),
            );
        },
    );
    registry.push_artifact(&windows, "library/app", "windows").await;
    let view = asked(&manager, json!({}), &registry, "windows").await;
    assert_eq!(view["state"], "succeeded", "{view}");
    let notes = view["notes"].to_string();
    assert!(
        notes.contains(&foreign) && notes.contains("mcr.example.com"),
        "{notes}"
    );
    assert_seed_holds(&manager.peer_data_dir(), windows.digests()).await;
    assert!(!sealed_digests(&manager.peer_data_dir()).contains(&foreign));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_brings_its_attestation_and_one_that_is_not_there_is_named() {
    let (registry, manager) = plain_site("").await;
    let image = attested();
    registry.push_artifact(&image, "library/app", "v1").await;
    let view = asked(
        &manager,
        json!({"platforms": ["linux/arm64/v8"]}),
        &registry,
        "v1",
    )
    .await;
    assert_eq!(
        (&view["state"], &view["objects_total"]),
        (&json!("succeeded"), &json!(7)),
        "{view}"
    );
    assert_eq!(sealed_digests(&manager.peer_data_dir()).len(), 7);
    let view = asked(
        &manager,
        json!({"platforms": ["linux/arm64", "linux/s390x"]}),
        &registry,
        "v1",
    )
    .await;
    assert_eq!(view["state"], "failed");
    let reason = view["reason"].as_str().unwrap_or_default();
    for platform in ["linux/s390x", "linux/amd64", "linux/arm64"] {
        assert!(reason.contains(platform), "{reason}");
    }
}

/// What refers to an image: a list of contents by the tag schema, and a signature under cosign's tag.
async fn push_referrers(registry: &Registry, image: &Artifact) -> Vec<String> {
    let subject = image.descriptor();
    let sbom = Artifact::with(
        (EMPTY, b"{}".to_vec()),
        vec![(
            "application/spdx+json",
            b"{\"spdxVersion\":\"SPDX-2.3\"}".to_vec(),
        )],
        |manifest| {
            manifest["artifactType"] = json!("application/spdx+json");
            manifest["subject"] = subject;
        },
    );
    let list = Artifact::index(vec![(sbom, json!({"artifactType": "application/spdx+json"}))]);
    let payload = json!({"critical": {"image": {"docker-manifest-digest": image.root().digest}}}).to_string();
    let signature = Artifact::with(
        image_config("linux/amd64", &[]),
        vec![(
            "application/vnd.dev.cosign.simplesigning.v1+json",
            payload.into_bytes(),
        )],
        |manifest| {
            manifest["layers"][0]["annotations"] = json!({"dev.cosignproject.cosign/signature": "MEUC"});
        },
    );
    let tag = image.root().digest.replace(':', "-");
    registry.push_artifact(&list, "library/app", &tag).await;
    registry
        .push_artifact(&signature, "library/app", &format!("{tag}.sig"))
        .await;
    let all = [list, signature];
    all.iter()
        .flat_map(Artifact::digests)
        .map(str::to_owned)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn signatures_and_lists_of_contents_come_along_by_their_tags() {
    let (registry, manager) = plain_site("[cluster.default]\nreferrers = true\n").await;
    let image = image(b"signed", "application/vnd.oci.image.layer.v1.tar+gzip", gzip);
    registry.push_artifact(&image, "library/app", "v1").await;
    let referrers = push_referrers(&registry, &image).await;
    let poll = preheat_well(&manager, &Wish::new(registry.manifest_url("library/app", "v1"))).await;
    let listed = poll.digests();
    for digest in referrers.iter().map(String::as_str).chain(image.digests()) {
        assert!(listed.contains(&digest), "{digest} is not in Harbor's table");
    }
    assert_seed_holds(&manager.peer_data_dir(), &referrers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_image_that_is_preheated_again_costs_its_registry_one_head() {
    let mut registry = Registry::plain().await;
    let image = ImageSpec::new(63)
        .platforms(["linux/amd64", "linux/arm64"])
        .layers([LayerSpec::of(30_000), LayerSpec::of(9_000)])
        .build();
    registry.push(&image, "library/app", "v1").await;
    let manager = up(&registry).await;
    let wish = Wish::new(registry.manifest_url("library/app", "v1"));
    preheat_well(&manager, &wish).await;
    registry.forget_requests().await;
    let poll = preheat_well(&manager, &wish).await;
    assert_lists(&poll, &image);
    let requests = registry.requests().await;
    let lines: Vec<String> = requests
        .iter()
        .map(|one| format!("{} {}", one.method, one.path()))
        .collect();
    assert_eq!(lines, ["HEAD /v2/library/app/manifests/v1"]);
}
