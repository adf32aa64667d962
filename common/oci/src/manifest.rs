//! Parses manifests and indexes of Docker and OCI.
//!
//! **Invariant:** the result is bounded in number, each digest is a [`Digest`] and no size is negative. A document
//! that readers could understand in two ways is refused first (`strict`). An entry that nobody can fetch does not make
//! the document invalid: it is returned as [`UnusableEntry`], and the reader of the document decides.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use oci_distribution::manifest::{
    IMAGE_CONFIG_MEDIA_TYPE, IMAGE_DOCKER_CONFIG_MEDIA_TYPE, IMAGE_LAYER_NONDISTRIBUTABLE_GZIP_MEDIA_TYPE,
    IMAGE_LAYER_NONDISTRIBUTABLE_MEDIA_TYPE, IMAGE_MANIFEST_LIST_MEDIA_TYPE, IMAGE_MANIFEST_MEDIA_TYPE,
    OCI_IMAGE_INDEX_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE,
};
use serde::Deserialize;

pub use crate::bad_manifest::{BYTES_LIMIT, BadManifest, ENTRIES_LIMIT, EntryFault};
use crate::entry::{RawEntries, RawEntry};
use crate::text::tame;
use crate::{Digest, Platform, strict};

/// The artifact manifest of OCI 1.1's release candidates, which some registries still hold.
pub(crate) const ARTIFACT_MEDIA_TYPE: &str = "application/vnd.oci.artifact.manifest.v1+json";

/// Bytes of one object that a descriptor may embed. Larger ones are fetched.
const DATA_LIMIT: u64 = 16 * 1024;

/// A parsed manifest or index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Manifest {
    Image {
        /// Artifacts may have none.
        config: Option<Descriptor>,
        layers: Vec<Descriptor>,
        /// What it refers to: a signature names the image that it signs.
        subject: Option<Digest>,
        unusable: Vec<UnusableEntry>,
    },
    Index {
        entries: Vec<IndexEntry>,
        unusable: Vec<UnusableEntry>,
    },
}

/// One object that a manifest names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    pub digest: Digest,
    /// 0 in an index: unknown.
    pub size: u64,
    pub media_type: String,
    /// Where else a foreign layer is available. Never dialled by this crate.
    pub urls: Vec<String>,
    /// The object itself, if the descriptor embeds it. Its size and digest are those of the descriptor.
    pub data: Option<Bytes>,
}

/// One manifest of an index, with its platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexEntry {
    pub descriptor: Descriptor,
    pub platform: Option<Platform>,
    /// The manifest of the same index that this one is an attestation for, as `BuildKit` writes it.
    pub attests_to: Option<Digest>,
}

/// One entry that names no object that can be fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnusableEntry {
    /// Its place: the config is 0, layers and manifests begin at 1.
    pub number: usize,
    pub fault: EntryFault,
    pub platform: Option<Platform>,
    pub is_attestation: bool,
}

impl IndexEntry {
    /// Whether runtimes do not need it: an attestation, or for a platform that no machine has.
    pub fn is_attestation(&self) -> bool {
        self.attests_to.is_some() || is_unknown(self.platform.as_ref())
    }

    /// Whether it may name a manifest. An index need not write the type of its entries.
    pub fn may_be_manifest(&self) -> bool {
        self.descriptor.media_type.is_empty() || self.descriptor.is_manifest()
    }
}

fn is_unknown(platform: Option<&Platform>) -> bool {
    platform.is_some_and(|platform| platform.os == "unknown")
}

impl Descriptor {
    /// Returns the descriptor of an index's or a list's entry.
    pub(crate) fn of_entry(entry: &RawEntry) -> Result<Self, EntryFault> {
        let (digest, size) = (entry.digest()?, entry.size()?.unwrap_or_default());
        Ok(Self {
            data: embedded(entry.data(), &digest, size),
            digest,
            size,
            media_type: entry.media_type(),
            urls: Vec::new(),
        })
    }

    /// Returns the descriptor of a config or layer.
    fn of_blob(entry: &RawEntry) -> Result<Self, EntryFault> {
        let urls = entry.urls()?;
        let descriptor = Self::of_entry(entry)?;
        // Go programs write a missing size as 0.
        if descriptor.size == 0 && !descriptor.digest.is_of_nothing() {
            return Err(EntryFault::NoSize);
        }
        Ok(Self { urls, ..descriptor })
    }

    /// Whether registries do not store it: its bytes are at `urls`, and their licence forbids redistribution.
    pub fn is_foreign(&self) -> bool {
        matches!(
            self.media_type.as_str(),
            IMAGE_LAYER_NONDISTRIBUTABLE_MEDIA_TYPE
                | IMAGE_LAYER_NONDISTRIBUTABLE_GZIP_MEDIA_TYPE
                | "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd"
                | "application/vnd.docker.image.rootfs.foreign.diff.tar"
                | "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
        )
    }

    /// Whether it is a config with a platform. Charts, models and signatures have others.
    pub fn is_image_config(&self) -> bool {
        matches!(
            self.media_type.as_str(),
            IMAGE_CONFIG_MEDIA_TYPE | IMAGE_DOCKER_CONFIG_MEDIA_TYPE
        )
    }

    /// Whether it is an index, fetched at `/manifests/`.
    pub fn is_index(&self) -> bool {
        ManifestKind::of(&self.media_type) == Some(ManifestKind::Index)
    }

    /// Whether it is a manifest or an index, fetched at `/manifests/`.
    pub fn is_manifest(&self) -> bool {
        ManifestKind::of(&self.media_type).is_some()
    }
}

impl Manifest {
    /// Returns every object that the document names.
    pub fn descriptors(&self) -> Vec<&Descriptor> {
        match self {
            Self::Image { config, layers, .. } => config.iter().chain(layers).collect(),
            Self::Index { entries, .. } => entries.iter().map(|entry| &entry.descriptor).collect(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ManifestKind {
    Image,
    /// Like an image without a config, with `blobs` for `layers`.
    Artifact,
    Index,
}

impl ManifestKind {
    fn of(media_type: &str) -> Option<Self> {
        match media_type {
            IMAGE_MANIFEST_MEDIA_TYPE | OCI_IMAGE_MEDIA_TYPE => Some(Self::Image),
            ARTIFACT_MEDIA_TYPE => Some(Self::Artifact),
            IMAGE_MANIFEST_LIST_MEDIA_TYPE | OCI_IMAGE_INDEX_MEDIA_TYPE => Some(Self::Index),
            _ => None,
        }
    }
}

/// The fields that determine the kind, read first.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outline {
    schema_version: Option<i64>,
    media_type: Option<String>,
    config: Option<serde::de::IgnoredAny>,
    layers: Option<serde::de::IgnoredAny>,
    manifests: Option<serde::de::IgnoredAny>,
}

/// The fields that name objects. Null and absent lists are empty, as Go writes them.
#[derive(Deserialize)]
struct Document {
    #[serde(default, deserialize_with = "crate::entry::one")]
    config: Option<RawEntry>,
    #[serde(default)]
    layers: RawEntries,
    #[serde(default)]
    blobs: RawEntries,
    #[serde(default)]
    manifests: RawEntries,
    #[serde(default, deserialize_with = "crate::entry::one")]
    subject: Option<RawEntry>,
}

/// Parses a manifest. `media_type` is the registry's `Content-Type`; it may be empty or a general type.
pub fn parse(bytes: &[u8], media_type: &str) -> Result<Manifest, BadManifest> {
    if bytes.len() > BYTES_LIMIT {
        return Err(BadManifest::TooLarge { found: bytes.len() });
    }
    let outside = without_parameters(media_type);
    if is_schema_one(outside) {
        return Err(BadManifest::SchemaOne);
    }
    strict::check(bytes, strict::MANIFEST)?;
    match kind(&read::<Outline>(bytes)?, outside)? {
        ManifestKind::Image => {
            let Document {
                config,
                layers,
                subject,
                ..
            } = read(bytes)?;
            image(config, &layers, subject)
        }
        ManifestKind::Artifact => {
            let Document { blobs, subject, .. } = read(bytes)?;
            image(None, &blobs, subject)
        }
        ManifestKind::Index => index(&read::<Document>(bytes)?.manifests),
    }
}

/// Removes the parameters from a type such as `application/json; charset=utf-8`.
pub(crate) fn without_parameters(media_type: &str) -> &str {
    media_type.split(';').next().unwrap_or_default().trim()
}

fn is_schema_one(media_type: &str) -> bool {
    media_type.starts_with("application/vnd.docker.distribution.manifest.v1+")
}

fn kind(outline: &Outline, outside: &str) -> Result<ManifestKind, BadManifest> {
    let inside = outline.media_type.as_deref().unwrap_or_default();
    if outline.schema_version == Some(1) || is_schema_one(inside) {
        return Err(BadManifest::SchemaOne);
    }
    if outline.layers.is_some() && outline.manifests.is_some() {
        return Err(BadManifest::TwoMeanings);
    }
    let shape = if outline.manifests.is_some() {
        ManifestKind::Index
    } else {
        ManifestKind::Image
    };
    match (ManifestKind::of(inside), ManifestKind::of(outside)) {
        (Some(inner), Some(outer)) if inner != outer => Err(BadManifest::TwoTypes {
            inside: tame(inside, 100),
            outside: tame(outside, 100),
        }),
        (None, _) if !inside.is_empty() => Err(BadManifest::UnknownType {
            found: tame(inside, 100),
        }),
        (Some(ManifestKind::Artifact), _) | (None, Some(ManifestKind::Artifact))
            if has_other_lists(outline) =>
        {
            Err(BadManifest::TwoMeanings)
        }
        (Some(kind), _) | (None, Some(kind)) => Ok(kind),
        // Old registries send general types for OCI manifests without a mediaType.
        (None, None) if has_other_lists(outline) || outline.config.is_some() => Ok(shape),
        (None, None) => Err(BadManifest::UnknownType {
            found: tame(outside, 100),
        }),
    }
}

/// Whether it has a list that an artifact manifest does not have.
fn has_other_lists(outline: &Outline) -> bool {
    outline.layers.is_some() || outline.manifests.is_some()
}

/// Returns the media type that a manifest or index names, or OCI's type for its shape.
pub fn media_type_inside(bytes: &[u8]) -> Result<String, BadManifest> {
    strict::check(bytes, strict::MANIFEST)?;
    let outline: Outline = read(bytes)?;
    let shape = if outline.manifests.is_some() {
        OCI_IMAGE_INDEX_MEDIA_TYPE
    } else {
        OCI_IMAGE_MEDIA_TYPE
    };
    Ok(outline.media_type.unwrap_or_else(|| shape.to_owned()))
}

/// Returns the platform that an image's config names; `None` if it names none or is ambiguous.
pub fn platform_of_config(config: &[u8]) -> Option<Platform> {
    #[derive(Deserialize)]
    struct Config {
        os: Option<String>,
        architecture: Option<String>,
        variant: Option<String>,
    }
    strict::check(config, strict::IMAGE_CONFIG).ok()?;
    let Config {
        os,
        architecture,
        variant,
    } = serde_json::from_slice(config).ok()?;
    let mut text = format!("{}/{}", os?, architecture?);
    if let Some(variant) = variant.filter(|variant| !variant.is_empty()) {
        text = format!("{text}/{variant}");
    }
    text.parse().ok()
}

/// Deserializes a document that [`strict::check`] accepted.
pub(crate) fn read<'bytes, T: Deserialize<'bytes>>(bytes: &'bytes [u8]) -> Result<T, BadManifest> {
    serde_json::from_slice(bytes).map_err(|cause| BadManifest::unreadable(&cause))
}

fn image(
    config: Option<RawEntry>,
    layers: &RawEntries,
    subject: Option<RawEntry>,
) -> Result<Manifest, BadManifest> {
    check_count(layers.count)?;
    let mut unusable = Vec::new();
    let mut usable = |number: usize, entry: &RawEntry| {
        let blob = Descriptor::of_blob(entry);
        blob.map_err(|fault| unusable.push(UnusableEntry::of(number, entry, fault)))
            .ok()
    };
    let config = config.filter(|config| !config.is_empty());
    let config = config.and_then(|config| usable(0, &config));
    let layers = layers.kept.iter().enumerate();
    let layers = layers.filter_map(|(at, layer)| usable(at + 1, layer)).collect();
    Ok(Manifest::Image {
        config,
        layers,
        // A digest of an unknown algorithm is ignored.
        subject: subject.and_then(|subject| subject.digest().ok()),
        unusable,
    })
}

fn index(manifests: &RawEntries) -> Result<Manifest, BadManifest> {
    check_count(manifests.count)?;
    let (mut entries, mut unusable) = (Vec::new(), Vec::new());
    for (at, entry) in manifests.kept.iter().enumerate() {
        match Descriptor::of_entry(entry) {
            Ok(descriptor) => entries.push(IndexEntry {
                descriptor,
                platform: entry.platform(),
                attests_to: entry.attests_to(),
            }),
            Err(fault) => unusable.push(UnusableEntry::of(at + 1, entry, fault)),
        }
    }
    Ok(Manifest::Index { entries, unusable })
}

impl UnusableEntry {
    fn of(number: usize, entry: &RawEntry, fault: EntryFault) -> Self {
        let platform = entry.platform();
        Self {
            number,
            fault,
            is_attestation: entry.is_attestation() || is_unknown(platform.as_ref()),
            platform,
        }
    }
}

fn check_count(found: usize) -> Result<(), BadManifest> {
    if found > ENTRIES_LIMIT {
        Err(BadManifest::TooMany { found })
    } else {
        Ok(())
    }
}

/// Returns the embedded object, if it is small and has the descriptor's size and digest.
fn embedded(data: Option<&str>, digest: &Digest, size: u64) -> Option<Bytes> {
    let data = data.filter(|_| size <= DATA_LIMIT)?;
    // A longer text cannot be of this size.
    let is_short = data.len() as u64 <= size.div_ceil(3) * 4;
    let bytes = BASE64_STANDARD.decode(is_short.then_some(data)?).ok()?;
    (bytes.len() as u64 == size && digest.of_same_algorithm(&bytes) == *digest).then(|| bytes.into())
}

#[cfg(test)]
#[path = "manifest_tests.rs"]
mod tests;
