//! Puts layers, configs, manifests and an index together as an OCI layout.

use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::blobs::{blob_path, name_of};
use super::layer::{self, Layer};
use super::{Format, Image, ImageSpec, Kind, Object};
use crate::files;

struct MediaTypes {
    index: &'static str,
    manifest: &'static str,
    config: &'static str,
    layer_gzip: &'static str,
    layer: &'static str,
}

const OCI: MediaTypes = MediaTypes {
    index: "application/vnd.oci.image.index.v1+json",
    manifest: "application/vnd.oci.image.manifest.v1+json",
    config: "application/vnd.oci.image.config.v1+json",
    layer_gzip: "application/vnd.oci.image.layer.v1.tar+gzip",
    layer: "application/vnd.oci.image.layer.v1.tar",
};

const DOCKER: MediaTypes = MediaTypes {
    index: "application/vnd.docker.distribution.manifest.list.v2+json",
    manifest: "application/vnd.docker.distribution.manifest.v2+json",
    config: "application/vnd.docker.container.image.v1+json",
    layer_gzip: "application/vnd.docker.image.rootfs.diff.tar.gzip",
    layer: "application/vnd.docker.image.rootfs.diff.tar",
};

pub(super) fn build(spec: &ImageSpec) -> Image {
    let dir = files::temporary("image");
    files::make_dir(&dir.path().join("blobs/sha256"));
    let mut layout = Layout {
        dir,
        format: spec.format,
        types: match spec.format {
            Format::Oci => &OCI,
            Format::Docker => &DOCKER,
        },
        objects: Vec::new(),
    };
    let entries: Vec<Value> = spec
        .platforms
        .iter()
        .map(|platform| layout.platform(spec, platform))
        .collect();
    let root = match entries.as_slice() {
        [only] if !spec.always_an_index => only.clone(),
        _ => layout.index(&entries),
    };
    layout.end(root)
}

struct Layout {
    dir: TempDir,
    format: Format,
    types: &'static MediaTypes,
    objects: Vec<Object>,
}

impl Layout {
    /// One platform's manifest with all it needs; its descriptor.
    fn platform(&mut self, spec: &ImageSpec, platform: &str) -> Value {
        let layers = write_layers(self.dir.path(), spec, platform);
        let config = self.config(spec, platform, &layers);
        let layers: Vec<Object> = layers
            .into_iter()
            .map(|layer| self.layer_object(layer, platform))
            .collect();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": self.types.manifest,
            "config": descriptor(&config),
            "layers": layers.iter().map(descriptor).collect::<Vec<_>>(),
        });
        let manifest = self.put(&manifest, Kind::Manifest, self.types.manifest, Some(platform));
        let mut described = descriptor(&manifest);
        described["platform"] = described_platform(platform);
        for object in [manifest, config].into_iter().chain(layers) {
            self.add(object);
        }
        described
    }

    fn config(&self, spec: &ImageSpec, platform: &str, layers: &[Layer]) -> Object {
        let mut config = described_platform(platform);
        config["created"] = json!("2024-01-01T00:00:00Z");
        config["config"] = json!({"Cmd": ["/bin/true"], "Labels": {"seed": spec.seed.to_string()}});
        let diff_ids: Vec<_> = layers.iter().map(|layer| &layer.diff_id).collect();
        config["rootfs"] = json!({"type": "layers", "diff_ids": diff_ids});
        let step = json!({"created": "2024-01-01T00:00:00Z", "created_by": "world"});
        config["history"] = vec![step; layers.len()].into();
        self.put(&config, Kind::Config, self.types.config, Some(platform))
    }

    fn layer_object(&self, layer: Layer, platform: &str) -> Object {
        Object {
            digest: layer.digest,
            size: layer.size,
            media_type: if layer.gzip {
                self.types.layer_gzip
            } else {
                self.types.layer
            },
            kind: Kind::Layer,
            platform: Some(platform.to_owned()),
        }
    }

    fn index(&mut self, entries: &[Value]) -> Value {
        let index = json!({"schemaVersion": 2, "mediaType": self.types.index, "manifests": entries});
        let object = self.put(&index, Kind::Index, self.types.index, None);
        let described = descriptor(&object);
        self.objects.insert(0, object);
        described
    }

    /// Writes a document among the blobs.
    fn put(&self, document: &Value, kind: Kind, media_type: &'static str, platform: Option<&str>) -> Object {
        let bytes = document.to_string().into_bytes();
        let digest = name_of(&Sha256::digest(&bytes));
        files::write(&blob_path(self.dir.path(), &digest), &bytes);
        Object {
            digest,
            size: bytes.len() as u64,
            media_type,
            kind,
            platform: platform.map(str::to_owned),
        }
    }

    fn add(&mut self, object: Object) {
        let known = self.objects.iter().any(|other| other.digest == object.digest);
        if !known {
            self.objects.push(object);
        }
    }

    fn end(self, mut root: Value) -> Image {
        root["annotations"] = json!({"org.opencontainers.image.ref.name": "latest"});
        let index = json!({"schemaVersion": 2, "manifests": [root]});
        files::write(&self.dir.path().join("index.json"), index.to_string());
        files::write(
            &self.dir.path().join("oci-layout"),
            r#"{"imageLayoutVersion":"1.0.0"}"#,
        );
        Image {
            dir: self.dir,
            format: self.format,
            objects: self.objects,
        }
    }
}

/// Layers are independent of each other: each is made by a thread of its own.
fn write_layers(dir: &Path, spec: &ImageSpec, platform: &str) -> Vec<Layer> {
    std::thread::scope(|scope| {
        let writing: Vec<_> = spec
            .layers
            .iter()
            .enumerate()
            .map(|(number, layer)| {
                let owner = if layer.shared { "shared" } else { platform };
                let label = format!("{owner}/{number}");
                scope.spawn(move || layer::write(dir, *layer, spec.seed, &label))
            })
            .collect();
        let written = writing
            .into_iter()
            .map(|thread| thread.join().expect("a layer's thread"));
        written
            .map(|layer| layer.unwrap_or_else(|error| panic!("cannot write a layer: {error}")))
            .collect()
    })
}

fn descriptor(object: &Object) -> Value {
    json!({"mediaType": object.media_type, "digest": object.digest, "size": object.size})
}

/// `os/architecture[/variant]` as a config and an index say it.
pub(super) fn described_platform(platform: &str) -> Value {
    let mut parts = platform.splitn(3, '/');
    let (os, architecture) = (parts.next(), parts.next());
    assert!(
        architecture.is_some(),
        "`{platform}` is no os/architecture[/variant]"
    );
    let mut described = json!({"os": os, "architecture": architecture});
    if let Some(variant) = parts.next() {
        described["variant"] = variant.into();
    }
    described
}
