//! Parses manifests and indexes of Docker and OCI.
//!
//! **Invariant:** the result is bounded in number, each digest is a [`Digest`] and no size is negative. A document
//! that readers could understand in two ways is refused first (`strict`).

use oci_distribution::manifest::{
    IMAGE_CONFIG_MEDIA_TYPE, IMAGE_DOCKER_CONFIG_MEDIA_TYPE, IMAGE_LAYER_NONDISTRIBUTABLE_GZIP_MEDIA_TYPE,
    IMAGE_LAYER_NONDISTRIBUTABLE_MEDIA_TYPE, IMAGE_MANIFEST_LIST_MEDIA_TYPE, IMAGE_MANIFEST_MEDIA_TYPE,
    ImageIndexEntry, OCI_IMAGE_INDEX_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE, OciDescriptor, OciImageIndex,
    OciImageManifest,
};
use serde::Deserialize;

pub use crate::bad_manifest::{BYTES_LIMIT, BadManifest, ENTRIES_LIMIT};
use crate::text::tame;
use crate::{Digest, Platform, strict};

/// A parsed manifest or index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Manifest {
    Image {
        config: Descriptor,
        layers: Vec<Descriptor>,
        /// What it refers to: a signature names the image that it signs.
        subject: Option<Digest>,
    },
    Index {
        entries: Vec<IndexEntry>,
    },
}

/// One object that a manifest names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    pub digest: Digest,
    pub size: u64,
    pub media_type: String,
    /// Where else a foreign layer is available. Never dialled by this crate.
    pub urls: Vec<String>,
}

/// One manifest of an index, with its platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexEntry {
    pub descriptor: Descriptor,
    pub platform: Option<Platform>,
    /// The manifest of the same index that this one is an attestation for, as `BuildKit` writes it.
    pub attests_to: Option<Digest>,
}

/// The annotations that mark an attestation and name its manifest.
const REFERENCE_TYPE: &str = "vnd.docker.reference.type";
const REFERENCE_DIGEST: &str = "vnd.docker.reference.digest";

impl Descriptor {
    /// Returns `None` if digest or size are invalid.
    pub(crate) fn of_entry(entry: &ImageIndexEntry) -> Option<Self> {
        Some(Self {
            digest: entry.digest.parse().ok()?,
            size: u64::try_from(entry.size).ok()?,
            media_type: tame(&entry.media_type, 255),
            urls: Vec::new(),
        })
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
            Self::Image { config, layers, .. } => std::iter::once(config).chain(layers).collect(),
            Self::Index { entries } => entries.iter().map(|entry| &entry.descriptor).collect(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ManifestKind {
    Image,
    Index,
}

impl ManifestKind {
    fn of(media_type: &str) -> Option<Self> {
        match media_type {
            IMAGE_MANIFEST_MEDIA_TYPE | OCI_IMAGE_MEDIA_TYPE => Some(Self::Image),
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
    layers: Option<serde::de::IgnoredAny>,
    manifests: Option<serde::de::IgnoredAny>,
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
        ManifestKind::Image => image(read(bytes)?),
        ManifestKind::Index => index(read(bytes)?),
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
        (Some(kind), _) | (None, Some(kind)) => Ok(kind),
        // Old registries send general types for OCI manifests without a mediaType.
        (None, None) if outline.layers.is_some() || outline.manifests.is_some() => Ok(shape),
        (None, None) => Err(BadManifest::UnknownType {
            found: tame(outside, 100),
        }),
    }
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

fn image(manifest: OciImageManifest) -> Result<Manifest, BadManifest> {
    check_count(manifest.layers.len())?;
    // A digest of another algorithm is ignored.
    let subject = manifest.subject.and_then(|subject| subject.digest.parse().ok());
    let layers = manifest.layers.into_iter().enumerate();
    Ok(Manifest::Image {
        config: descriptor(0, manifest.config)?,
        layers: layers
            .map(|(at, layer)| descriptor(at + 1, layer))
            .collect::<Result<_, _>>()?,
        subject,
    })
}

fn index(index: OciImageIndex) -> Result<Manifest, BadManifest> {
    check_count(index.manifests.len())?;
    let entries = index.manifests.into_iter().enumerate();
    Ok(Manifest::Index {
        entries: entries
            .map(|(at, entry)| index_entry(at + 1, entry))
            .collect::<Result<_, _>>()?,
    })
}

fn check_count(found: usize) -> Result<(), BadManifest> {
    if found > ENTRIES_LIMIT {
        Err(BadManifest::TooMany { found })
    } else {
        Ok(())
    }
}

fn descriptor(number: usize, found: OciDescriptor) -> Result<Descriptor, BadManifest> {
    Ok(Descriptor {
        digest: digest(number, &found.digest)?,
        size: size(number, found.size)?,
        media_type: tame(&found.media_type, 255),
        urls: found.urls.unwrap_or_default(),
    })
}

fn index_entry(number: usize, found: ImageIndexEntry) -> Result<IndexEntry, BadManifest> {
    let platform = found.platform.map(|platform| {
        let variant = platform.variant.map(|variant| tame(&variant, 64));
        Platform::new(
            &tame(&platform.os.to_string(), 64),
            &tame(&platform.architecture.to_string(), 64),
            variant.as_deref(),
        )
    });
    let attests_to = found.annotations.as_ref().and_then(|annotations| {
        annotations.get(REFERENCE_TYPE)?;
        annotations.get(REFERENCE_DIGEST)?.parse().ok()
    });
    let descriptor = Descriptor {
        digest: digest(number, &found.digest)?,
        size: size(number, found.size)?,
        media_type: tame(&found.media_type, 255),
        urls: Vec::new(),
    };
    Ok(IndexEntry {
        descriptor,
        platform,
        attests_to,
    })
}

fn digest(number: usize, text: &str) -> Result<Digest, BadManifest> {
    text.parse()
        .map_err(|cause: crate::BadDigest| BadManifest::BadEntry {
            number,
            cause: cause.to_string(),
        })
}

fn size(number: usize, size: i64) -> Result<u64, BadManifest> {
    u64::try_from(size).map_err(|_| BadManifest::BadEntry {
        number,
        cause: format!("its size is {size}"),
    })
}

#[cfg(test)]
#[path = "manifest_tests.rs"]
mod tests;
