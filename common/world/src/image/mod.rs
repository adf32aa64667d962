//! Generated images: real tars, gzipped or plain, with incompressible content that depends only on the seed. A container
//! runtime can unpack but not run them.
//!
//! ```no_run
//! # use world::{ImageSpec, LayerSpec};
//! let image = ImageSpec::new(7).platforms(["linux/amd64", "linux/arm64"]).layer(LayerSpec::of(3 << 20)).build();
//! assert_eq!(image.objects().len(), 1 + 2 * 3); // the index; and of each platform manifest, config and layer
//! ```

pub mod artifact;
mod blobs;
mod content;
mod layer;
mod layout;

use std::path::{Path, PathBuf};

use tempfile::TempDir;

pub use layer::LayerSpec;

/// What is to be made.
#[derive(Debug, Clone)]
pub struct ImageSpec {
    seed: u64,
    platforms: Vec<String>,
    layers: Vec<LayerSpec>,
    format: Format,
    always_an_index: bool,
}

/// Whose media types manifests, configs and layers have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Oci,
    /// Docker v2 schema 2, and manifest lists.
    Docker,
}

/// What an object is to its image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Index,
    Manifest,
    Config,
    Layer,
}

/// One manifest or blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// `sha256:…`
    pub digest: String,
    pub size: u64,
    pub media_type: &'static str,
    pub kind: Kind,
    /// Of the first platform that has it; none for the index.
    pub platform: Option<String>,
}

/// An image in an OCI layout, and every object of it.
#[derive(Debug)]
pub struct Image {
    dir: TempDir,
    format: Format,
    objects: Vec<Object>,
}

impl ImageSpec {
    /// One platform, linux/amd64, and no layer yet.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            platforms: vec!["linux/amd64".to_owned()],
            layers: Vec::new(),
            format: Format::Oci,
            always_an_index: false,
        }
    }

    /// Two layers of some KiB.
    pub fn small(seed: u64) -> Self {
        Self::new(seed)
            .layer(LayerSpec::of(4096))
            .layer(LayerSpec::of(10_240))
    }

    /// `os/architecture[/variant]` each; more than one makes an index.
    #[must_use]
    pub fn platforms<'a>(mut self, platforms: impl IntoIterator<Item = &'a str>) -> Self {
        self.platforms = platforms.into_iter().map(str::to_owned).collect();
        assert!(!self.platforms.is_empty(), "an image needs a platform");
        self
    }

    #[must_use]
    pub fn layer(mut self, layer: LayerSpec) -> Self {
        self.layers.push(layer);
        self
    }

    #[must_use]
    pub fn layers(mut self, layers: impl IntoIterator<Item = LayerSpec>) -> Self {
        self.layers.extend(layers);
        self
    }

    #[must_use]
    pub fn docker(mut self) -> Self {
        self.format = Format::Docker;
        self
    }

    /// An index even for one platform.
    #[must_use]
    pub fn always_an_index(mut self) -> Self {
        self.always_an_index = true;
        self
    }

    /// Writes the image into a folder of its own. Blocks the thread; some seconds for hundreds of MiB in a debug build.
    pub fn build(&self) -> Image {
        layout::build(self)
    }
}

impl Image {
    /// The OCI layout; its one entry is named `latest`.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Every object once: the root first, then of each platform manifest, config, layers.
    pub fn objects(&self) -> &[Object] {
        &self.objects
    }

    pub fn digests(&self) -> Vec<&str> {
        self.objects.iter().map(|object| object.digest.as_str()).collect()
    }

    /// What a tag names: the index if there is one, else the manifest.
    pub fn root(&self) -> &Object {
        self.objects.first().expect("an image has a root")
    }

    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Object> {
        self.objects.iter().filter(move |object| object.kind == kind)
    }

    pub fn layers(&self) -> Vec<&Object> {
        self.of_kind(Kind::Layer).collect()
    }

    pub fn total_bytes(&self) -> u64 {
        self.objects.iter().map(|object| object.size).sum()
    }

    pub fn format(&self) -> Format {
        self.format
    }

    /// The file with an object's bytes.
    pub fn path(&self, digest: &str) -> PathBuf {
        blobs::blob_path(self.dir(), digest)
    }

    /// The bytes of an object.
    pub fn bytes(&self, digest: &str) -> Vec<u8> {
        std::fs::read(self.path(digest))
            .unwrap_or_else(|error| panic!("{digest} is not in this image: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use sha2::{Digest as _, Sha256};

    use super::*;

    fn two_platforms(seed: u64) -> Image {
        ImageSpec::new(seed)
            .platforms(["linux/amd64", "linux/arm64/v8"])
            .layer(LayerSpec::of(5000).shared())
            .layer(LayerSpec::plain(3 * 1024 * 1024))
            .build()
    }

    #[test]
    fn every_object_matches_its_digest_and_size() {
        let image = two_platforms(1);
        for object in image.objects() {
            let bytes = image.bytes(&object.digest);
            assert_eq!(bytes.len() as u64, object.size, "{object:?}");
            assert_eq!(blobs::name_of(&Sha256::digest(&bytes)), object.digest);
        }
        // index; two manifests, configs, own layers; one shared layer
        assert_eq!(image.objects().len(), 1 + 2 * 3 + 1);
        let once: BTreeSet<_> = image.digests().into_iter().collect();
        assert_eq!(once.len(), image.objects().len());
    }

    #[test]
    fn the_same_seed_makes_the_same_image() {
        assert_eq!(two_platforms(2).objects(), two_platforms(2).objects());
        assert_ne!(two_platforms(2).root(), two_platforms(3).root());
    }

    #[test]
    fn a_plain_layer_has_exactly_the_wanted_size() {
        let image = ImageSpec::new(4)
            .layer(LayerSpec::plain(1 << 20))
            .layer(LayerSpec::plain(1))
            .build();
        let sizes: Vec<u64> = image.layers().iter().map(|layer| layer.size).collect();
        assert_eq!(sizes, [1 << 20, 2048]);
    }

    #[test]
    fn a_gzipped_layer_unpacks_to_the_tar_that_its_config_names() {
        let image = ImageSpec::new(5).layer(LayerSpec::of(200_000)).build();
        let blob = image.bytes(&image.layers()[0].digest);
        let mut tar = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(blob.as_slice()), &mut tar)
            .expect("gzip");
        let config = image.of_kind(Kind::Config).next().expect("a config");
        let config: serde_json::Value = serde_json::from_slice(&image.bytes(&config.digest)).expect("JSON");
        assert_eq!(
            config["rootfs"]["diff_ids"][0],
            blobs::name_of(&Sha256::digest(&tar))
        );
        let files = tar::Archive::new(tar.as_slice())
            .entries()
            .expect("a tar")
            .count();
        assert_eq!(files, 1);
    }
}
