//! The image of each cell: small manifests, a small layer, and one that is large enough to be fetched in parts.
//!
//! **Invariant:** content depends on the repository alone, and no two repositories share a blob.

use std::sync::LazyLock;

use serde_json::{Value, json};
use world::image::artifact::digest_of;

use crate::cell::{Cell, Root};

const SMALL: usize = 30_000;
/// Above four chunks of 1 MiB, so that a peer reads ranges of it as parts.
const LARGE: usize = 4_600_000;

const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";

/// Bytes that do not compress and have no period; each layer begins with its own name.
static NOISE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let words = std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    });
    words.take(LARGE / 8).flat_map(u64::to_le_bytes).collect()
});

#[derive(Debug, Clone)]
pub(crate) struct Object {
    pub(crate) digest: String,
    pub(crate) media_type: &'static str,
    pub(crate) bytes: Vec<u8>,
}

/// The objects of one repository; the root is the last manifest.
#[derive(Debug)]
pub(crate) struct Contents {
    pub(crate) manifests: Vec<Object>,
    pub(crate) blobs: Vec<Object>,
}

impl Contents {
    pub(crate) fn of(cell: Cell) -> Self {
        let (name, mut contents) = (cell.to_string(), Self::empty());
        match cell.root {
            Root::Schema2 => drop(contents.add_image(&name, &DOCKER)),
            Root::Oci => drop(contents.add_image(&name, &OCI)),
            Root::List => {
                let image = contents.add_image(&name, &DOCKER);
                contents.add_list(DOCKER_LIST, image);
            }
            Root::Nested => {
                let image = contents.add_image(&name, &OCI);
                let inner = contents.add_list(OCI_INDEX, image);
                contents.add_list(OCI_INDEX, inner);
            }
        }
        contents
    }

    fn empty() -> Self {
        Self {
            manifests: Vec::new(),
            blobs: Vec::new(),
        }
    }

    pub(crate) fn root(&self) -> &Object {
        self.manifests.last().expect("a root")
    }

    /// The layer that is fetched in parts.
    pub(crate) fn large(&self) -> &Object {
        self.blobs.last().expect("a layer")
    }

    fn add_image(&mut self, name: &str, types: &Types) -> Value {
        let config = json!({"architecture": "amd64", "os": "linux", "author": name,
            "rootfs": {"type": "layers", "diff_ids": []}});
        let config = self.add_blob(types.config, config.to_string().into_bytes());
        let small = self.add_blob(types.layer, layer(name, SMALL));
        let large = self.add_blob(types.layer, layer(name, LARGE));
        self.add_manifest(
            types.manifest,
            &json!({"schemaVersion": 2, "mediaType": types.manifest, "config": config, "layers": [small, large]}),
        )
    }

    fn add_list(&mut self, media_type: &'static str, mut entry: Value) -> Value {
        entry["platform"] = json!({"architecture": "amd64", "os": "linux"});
        self.add_manifest(
            media_type,
            &json!({"schemaVersion": 2, "mediaType": media_type, "manifests": [entry]}),
        )
    }

    fn add_blob(&mut self, media_type: &'static str, bytes: Vec<u8>) -> Value {
        self.blobs.push(Object::new(media_type, bytes));
        self.blobs.last().map(Object::descriptor).expect("just added")
    }

    fn add_manifest(&mut self, media_type: &'static str, document: &Value) -> Value {
        let bytes = document.to_string().into_bytes();
        self.manifests.push(Object::new(media_type, bytes));
        self.root().descriptor()
    }
}

impl Object {
    fn new(media_type: &'static str, bytes: Vec<u8>) -> Self {
        Self {
            digest: digest_of(&bytes),
            media_type,
            bytes,
        }
    }

    fn descriptor(&self) -> Value {
        json!({"mediaType": self.media_type, "digest": self.digest, "size": self.bytes.len()})
    }
}

struct Types {
    manifest: &'static str,
    config: &'static str,
    layer: &'static str,
}

const OCI: Types = Types {
    manifest: OCI_MANIFEST,
    config: OCI_CONFIG,
    layer: OCI_LAYER,
};
const DOCKER: Types = Types {
    manifest: DOCKER_MANIFEST,
    config: DOCKER_CONFIG,
    layer: DOCKER_LAYER,
};

fn layer(name: &str, size: usize) -> Vec<u8> {
    let mut bytes = format!("{name} {size}\n").into_bytes();
    bytes.extend(NOISE.iter().take(size - bytes.len()));
    bytes
}
