//! Artifacts of many kinds, as their own tools push them.

use serde_json::{Value, json};
use world::image::artifact::{Artifact, digest_of, gzip, image_config, tar, zstd};

pub(super) const EMPTY: &str = "application/vnd.oci.empty.v1+json";

/// What there is of them, by name.
pub(super) fn kinds() -> Vec<(&'static str, Artifact)> {
    vec![
        ("chart", chart()),
        ("wasm", wasm()),
        ("nydus", nydus()),
        ("model", model()),
        (
            "zstd",
            image(b"zstd", "application/vnd.oci.image.layer.v1.tar+zstd", zstd),
        ),
        ("sbom", without_config()),
        ("attested", attested()),
    ]
}

fn chart() -> Artifact {
    let config = json!({"name": "app", "version": "1.2.3", "apiVersion": "v2"}).to_string();
    let files = tar(&[
        ("app/Chart.yaml", b"name: app\nversion: 1.2.3\n"),
        ("app/values.yaml", b"replicas: 1\n"),
    ]);
    Artifact::new(
        ("application/vnd.cncf.helm.config.v1+json", config.into_bytes()),
        vec![
            (
                "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
                gzip(&files),
            ),
            (
                "application/vnd.cncf.helm.chart.provenance.v1.prov",
                b"-----BEGIN PGP SIGNED MESSAGE-----".to_vec(),
            ),
        ],
    )
}

fn wasm() -> Artifact {
    let config = json!({"os": "wasip1", "architecture": "wasm", "layerDigests": []}).to_string();
    Artifact::new(
        ("application/vnd.wasm.config.v0+json", config.into_bytes()),
        vec![("application/wasm", b"\0asm\x01\0\0\0".to_vec())],
    )
}

/// An index of the same image twice: plain, and as nydus keeps it.
fn nydus() -> Artifact {
    let bootstrap = tar(&[("image/image.boot", &[3; 9_000])]);
    let nydus = Artifact::with(
        image_config("linux/amd64", &[digest_of(&bootstrap)]),
        vec![
            ("application/vnd.oci.image.layer.nydus.blob.v1", vec![5; 70_000]),
            ("application/vnd.oci.image.layer.v1.tar+gzip", gzip(&bootstrap)),
        ],
        |manifest| {
            manifest["layers"][0]["annotations"] = json!({"containerd.io/snapshot/nydus-blob": "true"});
            manifest["layers"][1]["annotations"] = json!({"containerd.io/snapshot/nydus-bootstrap": "true"});
        },
    );
    let plain = image(b"plain", "application/vnd.oci.image.layer.v1.tar+gzip", gzip);
    let platform = json!({"os": "linux", "architecture": "amd64"});
    let mut with_feature = platform.clone();
    with_feature["os.features"] = json!(["nydus.remoteimage.v1"]);
    Artifact::index(vec![
        (plain, json!({"platform": platform})),
        (nydus, json!({"platform": with_feature})),
    ])
}

fn model() -> Artifact {
    let config =
        json!({"descriptor": {"name": "small", "format": "safetensors"}, "modelfs": {"type": "layers"}});
    Artifact::with(
        (
            "application/vnd.cncf.model.config.v1+json",
            config.to_string().into_bytes(),
        ),
        vec![
            (
                "application/vnd.cncf.model.weight.v1.tar",
                tar(&[("model.safetensors", &vec![9; 300_000])]),
            ),
            (
                "application/vnd.cncf.model.weight.config.v1.raw",
                b"{\"hidden_size\":8}".to_vec(),
            ),
            ("application/vnd.cncf.model.doc.v1.raw", b"# A model".to_vec()),
        ],
        |manifest| manifest["artifactType"] = json!("application/vnd.cncf.model.manifest.v1+json"),
    )
}

/// An artifact whose config is empty and stands in the manifest itself.
fn without_config() -> Artifact {
    let sbom = json!({"spdxVersion": "SPDX-2.3", "packages": []})
        .to_string()
        .into_bytes();
    Artifact::with(
        (EMPTY, b"{}".to_vec()),
        vec![("application/spdx+json", sbom)],
        |manifest| {
            manifest["artifactType"] = json!("application/spdx+json");
            manifest["config"]["data"] = json!("e30=");
        },
    )
}

/// One file, packed in one way or another.
pub(super) fn image(content: &[u8], layer_type: &str, pack: impl Fn(&[u8]) -> Vec<u8>) -> Artifact {
    image_for("linux/amd64", content, layer_type, pack)
}

fn image_for(platform: &str, content: &[u8], layer_type: &str, pack: impl Fn(&[u8]) -> Vec<u8>) -> Artifact {
    let files = tar(&[("data/file", content)]);
    Artifact::new(
        image_config(platform, &[digest_of(&files)]),
        vec![(layer_type, pack(&files))],
    )
}

fn for_platforms(platforms: &[&str]) -> Vec<(Artifact, Value)> {
    let one = |platform: &&str| {
        let mut parts = platform.split('/');
        let entry = json!({"platform": {"os": parts.next(), "architecture": parts.next()}});
        let layer = "application/vnd.oci.image.layer.v1.tar+gzip";
        (image_for(platform, platform.as_bytes(), layer, gzip), entry)
    };
    platforms.iter().map(one).collect()
}

/// As `BuildKit` pushes it: two platforms, an attestation for each.
pub(super) fn attested() -> Artifact {
    let mut entries = for_platforms(&["linux/amd64", "linux/arm64"]);
    let attestations: Vec<(Artifact, Value)> =
        entries.iter().map(|(image, _)| attestation_of(image)).collect();
    entries.extend(attestations);
    Artifact::index(entries)
}

fn attestation_of(image: &Artifact) -> (Artifact, Value) {
    let digest = image.root().digest.clone();
    let statement = json!({"_type": "https://in-toto.io/Statement/v0.1", "subject": [{"digest": digest}]});
    let attestation = Artifact::new(
        image_config("unknown/unknown", &[]),
        vec![("application/vnd.in-toto+json", statement.to_string().into_bytes())],
    );
    let entry = json!({
        "platform": {"os": "unknown", "architecture": "unknown"},
        "annotations": {
            "vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": digest,
        },
    });
    (attestation, entry)
}

pub(super) fn nested(seed: u64) -> (Artifact, Vec<String>) {
    let platforms = ["linux/amd64", "linux/arm64"];
    let inner = for_platforms(&platforms).into_iter().map(|(image, entry)| {
        let index = Artifact::index(vec![(image, entry.clone())]);
        (index, json!({"annotations": {"seed": seed.to_string()}}))
    });
    let outer = Artifact::index(inner.collect());
    let digests = outer.digests().into_iter().map(str::to_owned).collect();
    (outer, digests)
}
