//! The sample image: two platforms with several layers each, generated in memory.
//!
//! Layers are real tar archives with one file of pseudo-random bytes, so that a container runtime could unpack them.
//! Their bytes are computed from a name and a position, so that an image of any size needs no storage.

use std::ops::Range;

use bytes::Bytes;
use oci::Digest;
use serde_json::json;
use sha2::{Digest as _, Sha256};

const TAR_BLOCK: u64 = 512;
/// A tar archive ends with two empty blocks.
const TAR_END: u64 = 2 * TAR_BLOCK;
const HASH_STEP: u64 = 1024 * 1024;

const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar";

/// The relative sizes of a platform's layers, largest last.
const LAYER_SHARES: [u64; 4] = [10, 20, 30, 40];
pub(crate) const PLATFORMS: [(&str, &str); 2] = [("linux", "amd64"), ("linux", "arm64")];

/// An image that a registry can serve.
pub(crate) struct SampleImage {
    pub(crate) index: Digest,
    pub(crate) objects: Vec<SampleObject>,
}

pub(crate) struct SampleObject {
    pub(crate) digest: Digest,
    pub(crate) media_type: &'static str,
    /// Shown to people: `linux/amd64 layer 2`.
    pub(crate) label: String,
    pub(crate) content: Content,
}

#[derive(Clone)]
pub(crate) enum Content {
    Document(Bytes),
    Layer(Box<SampleLayer>),
}

/// A tar archive whose bytes are computed when they are read.
#[derive(Clone)]
pub(crate) struct SampleLayer {
    header: Bytes,
    noise: blake3::Hasher,
    noise_size: u64,
}

impl SampleImage {
    /// `size` is the sum of all layers of all platforms.
    pub(crate) fn make(size: u64) -> Self {
        let mut objects = Vec::new();
        let mut entries = Vec::new();
        for (os, architecture) in PLATFORMS {
            let manifest = platform(os, architecture, size / PLATFORMS.len() as u64, &mut objects);
            let platform = json!({"os": os, "architecture": architecture});
            let mut entry = descriptor(&manifest);
            if let Some(entry) = entry.as_object_mut() {
                entry.insert("platform".to_owned(), platform);
            }
            entries.push(entry);
            objects.push(manifest);
        }
        let index = json!({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": entries});
        let index = document(&index, INDEX_TYPE, "index".to_owned());
        let digest = index.digest.clone();
        objects.push(index);
        Self {
            index: digest,
            objects,
        }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.objects.iter().map(|object| object.content.size()).sum()
    }
}

fn platform(os: &str, architecture: &str, size: u64, objects: &mut Vec<SampleObject>) -> SampleObject {
    let platform = format!("{os}/{architecture}");
    let whole: u64 = LAYER_SHARES.iter().sum();
    let layers: Vec<SampleObject> = (1..)
        .zip(LAYER_SHARES)
        .map(|(number, share)| layer(format!("{platform} layer {number}"), size * share / whole))
        .collect();
    let diff_ids: Vec<&str> = layers.iter().map(|layer| layer.digest.as_str()).collect();
    let config = json!({
        "os": os, "architecture": architecture, "config": {},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    let config = document(&config, CONFIG_TYPE, format!("{platform} config"));
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": descriptor(&config),
        "layers": layers.iter().map(descriptor).collect::<Vec<_>>(),
    });
    objects.push(config);
    objects.extend(layers);
    document(&manifest, MANIFEST_TYPE, format!("{platform} manifest"))
}

fn layer(label: String, size: u64) -> SampleObject {
    let layer = SampleLayer::new(&label, size);
    let digest = layer.digest();
    SampleObject {
        digest,
        media_type: LAYER_TYPE,
        label,
        content: Content::Layer(Box::new(layer)),
    }
}

fn document(value: &serde_json::Value, media_type: &'static str, label: String) -> SampleObject {
    let bytes = Bytes::from(value.to_string());
    SampleObject {
        digest: Digest::of(&bytes),
        media_type,
        label,
        content: Content::Document(bytes),
    }
}

fn descriptor(object: &SampleObject) -> serde_json::Value {
    json!({"mediaType": object.media_type, "digest": object.digest.as_str(), "size": object.content.size()})
}

impl SampleObject {
    pub(crate) fn is_layer(&self) -> bool {
        matches!(self.content, Content::Layer(_))
    }
}

impl Content {
    pub(crate) fn size(&self) -> u64 {
        match self {
            Self::Document(bytes) => bytes.len() as u64,
            Self::Layer(layer) => layer.size(),
        }
    }

    /// Returns the bytes of `range`, which must be within the content and at most a few MiB long.
    pub(crate) fn read(&self, range: Range<u64>) -> Bytes {
        match self {
            Self::Document(bytes) => within(bytes, &range),
            Self::Layer(layer) => layer.read(range),
        }
    }
}

impl SampleLayer {
    fn new(label: &str, size: u64) -> Self {
        let noise_size = size.max(TAR_BLOCK).next_multiple_of(TAR_BLOCK);
        let mut header = tar::Header::new_ustar();
        header.set_size(noise_size);
        header.set_mode(0o644);
        // The name is short: it always fits.
        let _ = header.set_path(format!("sample/{}.bin", label.replace(['/', ' '], "-")));
        header.set_cksum();
        let mut noise = blake3::Hasher::new_derive_key("stoker demo sample layer");
        noise.update(label.as_bytes());
        Self {
            header: Bytes::copy_from_slice(header.as_bytes()),
            noise,
            noise_size,
        }
    }

    fn size(&self) -> u64 {
        TAR_BLOCK + self.noise_size + TAR_END
    }

    fn read(&self, range: Range<u64>) -> Bytes {
        let mut bytes = within(&self.header, &range).to_vec();
        let from = range.start.saturating_sub(TAR_BLOCK).min(self.noise_size);
        let to = range.end.saturating_sub(TAR_BLOCK).min(self.noise_size);
        let mut noise = vec![0; usize::try_from(to - from).unwrap_or_default()];
        let mut reader = self.noise.finalize_xof();
        reader.set_position(from);
        reader.fill(&mut noise);
        bytes.extend(noise);
        // The rest of the range is in the empty blocks at the end.
        bytes.resize(usize::try_from(range.end - range.start).unwrap_or_default(), 0);
        bytes.into()
    }

    fn digest(&self) -> Digest {
        let mut hash = Sha256::new();
        let mut at = 0;
        while at < self.size() {
            let next = (at + HASH_STEP).min(self.size());
            hash.update(self.read(at..next));
            at = next;
        }
        Digest::from_sha256(hash.finalize().into())
    }
}

fn within(bytes: &Bytes, range: &Range<u64>) -> Bytes {
    let at = |place: u64| usize::try_from(place).map_or(bytes.len(), |place| place.min(bytes.len()));
    bytes.slice(at(range.start)..at(range.end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(content: &Content) -> Bytes {
        content.read(0..content.size())
    }

    #[test]
    fn every_object_matches_its_digest() {
        let image = SampleImage::make(1_000_000);
        assert_eq!(
            image.objects.len(),
            PLATFORMS.len() * (LAYER_SHARES.len() + 2) + 1
        );
        for object in &image.objects {
            assert_eq!(
                Digest::of(&whole(&object.content)),
                object.digest,
                "{}",
                object.label
            );
        }
        let digests: std::collections::BTreeSet<&str> = image
            .objects
            .iter()
            .map(|object| object.digest.as_str())
            .collect();
        assert_eq!(digests.len(), image.objects.len(), "two objects are the same");
        assert!(
            (1_000_000..1_100_000).contains(&image.bytes()),
            "{}",
            image.bytes()
        );
    }

    #[test]
    fn a_range_has_the_bytes_of_the_whole_at_that_place() {
        let layer = Content::Layer(Box::new(SampleLayer::new("x", 5_000)));
        let all = whole(&layer);
        for (from, to) in [
            (0, 10),
            (500, 530),
            (511, 512),
            (5_600, 6_000),
            (4_000, layer.size()),
            (7, 7),
        ] {
            assert_eq!(layer.read(from..to), within(&all, &(from..to)), "{from}..{to}");
        }
    }

    #[test]
    fn a_layer_is_a_tar_archive_with_one_file() {
        let layer = Content::Layer(Box::new(SampleLayer::new("linux/amd64 layer 1", 2_000)));
        let bytes = whole(&layer);
        let mut archive = tar::Archive::new(bytes.as_ref());
        let files: Vec<(String, u64)> = archive
            .entries()
            .expect("entries")
            .map(|entry| {
                let entry = entry.expect("an entry");
                (entry.path().expect("a path").display().to_string(), entry.size())
            })
            .collect();
        assert_eq!(files, [("sample/linux-amd64-layer-1.bin".to_owned(), 2_048)]);
    }
}
