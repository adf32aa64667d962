//! Artifacts of every kind: charts, modules, models, signatures, layers of other formats. Small, with valid content.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256, Sha512};

use super::blobs::name_of;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// One object of an artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// `sha256:…`, or `sha512:…` where that was asked for.
    pub digest: String,
    pub bytes: Vec<u8>,
    pub media_type: String,
    pub is_manifest: bool,
}

/// A manifest or an index with its objects, in an order that a registry accepts: the root last.
#[derive(Debug, Clone)]
pub struct Artifact {
    parts: Vec<Part>,
}

impl Part {
    /// A manifest with exactly this text, also an invalid one.
    pub fn raw_manifest(media_type: &str, text: &str) -> Self {
        Self::new(media_type, text.as_bytes().to_vec(), true)
    }

    fn new(media_type: &str, bytes: Vec<u8>, is_manifest: bool) -> Self {
        Self {
            digest: name_of(&Sha256::digest(&bytes)),
            bytes,
            media_type: media_type.to_owned(),
            is_manifest,
        }
    }

    fn sha512(self) -> Self {
        Self {
            digest: sha512_of(&self.bytes),
            ..self
        }
    }

    fn descriptor(&self) -> Value {
        json!({"mediaType": self.media_type, "digest": self.digest, "size": self.bytes.len()})
    }
}

impl Artifact {
    /// An OCI manifest of a config and layers, each a media type and bytes.
    pub fn new(config: (&str, Vec<u8>), layers: Vec<(&str, Vec<u8>)>) -> Self {
        Self::with(config, layers, |_| {})
    }

    /// … with something more in the manifest.
    pub fn with(
        config: (&str, Vec<u8>),
        layers: Vec<(&str, Vec<u8>)>,
        change: impl FnOnce(&mut Value),
    ) -> Self {
        let blob = |(media_type, bytes)| Part::new(media_type, bytes, false);
        Self::of(blob(config), layers.into_iter().map(blob).collect(), change)
    }

    /// An OCI manifest whose layers have sha512 digests. Registries of the field take it.
    pub fn with_sha512_layers(config: (&str, Vec<u8>), layers: Vec<(&str, Vec<u8>)>) -> Self {
        let blob = |(media_type, bytes)| Part::new(media_type, bytes, false);
        let layers = layers.into_iter().map(|layer| blob(layer).sha512());
        Self::of(blob(config), layers.collect(), |_| {})
    }

    /// An OCI manifest that has a sha512 digest itself, as its config and layers have.
    pub fn all_sha512(config: (&str, Vec<u8>), layers: Vec<(&str, Vec<u8>)>) -> Self {
        let blob = |(media_type, bytes)| Part::new(media_type, bytes, false).sha512();
        let mut artifact = Self::of(blob(config), layers.into_iter().map(blob).collect(), |_| {});
        let root = artifact.parts.pop().map(Part::sha512);
        artifact.parts.extend(root);
        artifact
    }

    fn of(config: Part, layers: Vec<Part>, change: impl FnOnce(&mut Value)) -> Self {
        let mut manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": config.descriptor(),
            "layers": layers.iter().map(Part::descriptor).collect::<Vec<_>>(),
        });
        change(&mut manifest);
        let mut artifact = Self { parts: Vec::new() };
        std::iter::once(config)
            .chain(layers)
            .for_each(|part| artifact.add(part));
        artifact.add_manifest(&manifest);
        artifact
    }

    /// An index over others, each with what its entry says beside digest and size.
    pub fn index(entries: Vec<(Self, Value)>) -> Self {
        let mut all = Self { parts: Vec::new() };
        let mut described = Vec::new();
        for (artifact, more) in entries {
            let mut entry = artifact.descriptor();
            for (key, value) in more.as_object().into_iter().flatten() {
                entry[key] = value.clone();
            }
            described.push(entry);
            artifact.parts.into_iter().for_each(|part| all.add(part));
        }
        all.add_manifest(&json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": described}));
        all
    }

    fn add_manifest(&mut self, manifest: &Value) {
        let media_type = manifest["mediaType"].as_str().expect("a manifest says its type");
        self.add(Part::new(media_type, manifest.to_string().into_bytes(), true));
    }

    fn add(&mut self, part: Part) {
        if self.parts.iter().all(|other| other.digest != part.digest) {
            self.parts.push(part);
        }
    }

    /// The same with other bytes under the digest of one part: what a broken registry sends.
    #[must_use]
    pub fn with_part(&self, other: Part) -> Self {
        let mut broken = self.clone();
        let same = broken.parts.iter_mut().find(|part| part.digest == other.digest);
        *same.expect("a part with this digest") = other;
        broken
    }

    /// The root last.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    pub fn digests(&self) -> Vec<&str> {
        self.parts.iter().map(|part| part.digest.as_str()).collect()
    }

    pub fn root(&self) -> &Part {
        self.parts.last().expect("an artifact has a root")
    }

    /// As an index or a `subject` names it.
    pub fn descriptor(&self) -> Value {
        self.root().descriptor()
    }
}

/// The config of an image for a machine, and a layer for it.
pub fn image_config(platform: &str, diff_ids: &[String]) -> (&'static str, Vec<u8>) {
    let mut config = super::layout::described_platform(platform);
    config["rootfs"] = json!({"type": "layers", "diff_ids": diff_ids});
    (
        "application/vnd.oci.image.config.v1+json",
        config.to_string().into_bytes(),
    )
}

/// `sha256:…` of some bytes.
pub fn digest_of(bytes: &[u8]) -> String {
    name_of(&Sha256::digest(bytes))
}

/// `sha512:…` of some bytes.
pub fn sha512_of(bytes: &[u8]) -> String {
    format!("sha512:{}", hex::encode(Sha512::digest(bytes)))
}

/// A tar of these files.
pub fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(1_700_000_000);
        tar.append_data(&mut header, name, *bytes)
            .unwrap_or_else(|error| panic!("cannot add {name} to the tar: {error}"));
    }
    tar.into_inner().expect("a tar in memory")
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(bytes).expect("memory takes everything");
    gzip.finish().expect("memory takes everything")
}

/// A zstd frame that stores the bytes as they are.
pub fn zstd(bytes: &[u8]) -> Vec<u8> {
    const BLOCK: usize = 100_000;
    let length = u32::try_from(bytes.len()).expect("a small content");
    // Magic; a single segment whose content size has 4 bytes.
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0b1010_0000];
    frame.extend(length.to_le_bytes());
    let blocks = bytes.chunks(BLOCK).count();
    for (number, block) in bytes.chunks(BLOCK).enumerate() {
        let is_last = u32::from(number + 1 == blocks);
        let size = u32::try_from(block.len()).expect("at most a block");
        frame.extend(&(size << 3 | is_last).to_le_bytes()[..3]);
        frame.extend(block);
    }
    frame
}

/// A tar.gz that can be read file by file: each file is a gzip member, the list of them another one, and a footer says
/// where that is.
pub fn estargz(name: &str, bytes: &[u8]) -> Vec<u8> {
    let without_end = |files: &[(&str, &[u8])]| {
        let mut tar = tar(files);
        tar.truncate(tar.len() - 1024);
        tar
    };
    let mut layer = gzip(&without_end(&[(name, bytes)]));
    let list = json!({"version": 1, "entries": [{
        "name": name, "type": "reg", "size": bytes.len(), "offset": 0, "digest": digest_of(bytes),
        "chunkDigest": digest_of(bytes),
    }]});
    let offset = layer.len();
    layer.extend(gzip(&tar(&[("stargz.index.json", list.to_string().as_bytes())])));
    let subfield = format!("{offset:016x}STARGZ");
    let mut extra = b"SG".to_vec();
    extra.extend(u16::try_from(subfield.len()).expect("22 letters").to_le_bytes());
    extra.extend(subfield.as_bytes());
    let footer = flate2::GzBuilder::new()
        .extra(extra)
        .write(Vec::new(), Compression::none());
    layer.extend(footer.finish().expect("memory takes everything"));
    layer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_estargz_layer_is_a_tar_gz_with_its_list_at_the_end() {
        let layer = estargz("data/file", b"content");
        let mut content = Vec::new();
        std::io::Read::read_to_end(
            &mut flate2::read::MultiGzDecoder::new(layer.as_slice()),
            &mut content,
        )
        .expect("gzip");
        let mut archive = tar::Archive::new(content.as_slice());
        let names: Vec<String> = archive
            .entries()
            .expect("a tar")
            .map(|entry| {
                entry
                    .expect("an entry")
                    .path()
                    .expect("a path")
                    .display()
                    .to_string()
            })
            .collect();
        assert_eq!(names, ["data/file", "stargz.index.json"]);
    }

    #[test]
    fn an_index_has_the_parts_of_all_its_entries_and_is_the_root() {
        let one = Artifact::new(("a/b", b"{}".to_vec()), vec![("c/d", b"layer".to_vec())]);
        let two = Artifact::new(("a/b", b"{}".to_vec()), vec![("c/d", b"other".to_vec())]);
        let index = Artifact::index(vec![(one, json!({})), (two, json!({"annotations": {"k": "v"}}))]);
        assert_eq!(index.parts().len(), 6, "the config is shared");
        assert!(String::from_utf8_lossy(&index.root().bytes).contains("annotations"));
    }
}
