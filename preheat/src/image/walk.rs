//! Walks from a manifest to every object below it: manifests, indexes, configs and layers.

use std::collections::HashSet;

use futures_util::{StreamExt, TryStreamExt, stream};
use oci::manifest::{Descriptor, IndexEntry, Manifest, UnusableEntry, parse, platform_of_config};
use oci::{Digest, FetchedManifest, MANIFEST_ACCEPT, Platform, TagOrDigest};

use super::choice::{Need, PlatformChoice, WantedPlatforms};
use super::foreign::foreign;
use super::objects::{BadImage, FoundObject, Gathered};
use super::reader::Reader;
use super::trouble::Trouble;
use super::unusable::{lacking, needed, noted};
use crate::model::class::Class;
use crate::model::limits::Limits;

/// A manifest that was read, and its platform.
pub(super) struct ReadManifest {
    pub(super) manifest: FetchedManifest,
    pub(super) media_type: String,
    platform: Option<Platform>,
    is_attestation: bool,
    /// Seeds cannot read it by digest from the registry, so they get its bytes.
    hand_over: bool,
}

impl ReadManifest {
    pub(super) fn root(manifest: FetchedManifest, hand_over: bool) -> Self {
        Self {
            media_type: media_type(&manifest.media_type, ""),
            manifest,
            platform: None,
            is_attestation: false,
            hand_over,
        }
    }

    pub(super) fn digest(&self) -> &Digest {
        &self.manifest.digest
    }

    pub(super) fn parsed(&self) -> Result<Manifest, Trouble> {
        parse(&self.manifest.bytes, &self.media_type).map_err(|cause| bad(self.digest(), cause))
    }

    /// Returns the manifest without the objects that it lists.
    pub(super) fn alone(self) -> Gathered {
        let mut gathered = Gathered::new(1);
        // A limit of one object has room for the first.
        let _ = gathered.add(self.digest().clone(), self.object());
        gathered
    }

    fn object(&self) -> FoundObject {
        FoundObject {
            class: Class::Manifest,
            media_type: self.media_type.clone(),
            size: self.manifest.bytes.len() as u64,
            platform: self.platform.clone(),
            bytes: self.hand_over.then(|| self.manifest.bytes.clone()),
        }
    }
}

fn bad(digest: &Digest, cause: impl std::fmt::Display) -> Trouble {
    Trouble::of_image(&format!("manifest {digest}"), cause)
}

/// Returns the media type as the registry served it, else as the index lists it.
fn media_type(served: &str, listed: &str) -> String {
    let served = served.split(';').next().unwrap_or_default().trim();
    let known = [served, listed]
        .into_iter()
        .find(|text| MANIFEST_ACCEPT.contains(text));
    known.unwrap_or(served).to_owned()
}

/// Reads a manifest that an index or a list names, and compares its size with the entry.
pub(super) async fn read(reader: &Reader, entry: IndexEntry) -> Result<ReadManifest, Trouble> {
    let is_attestation = entry.is_attestation();
    let IndexEntry {
        descriptor, platform, ..
    } = entry;
    let hand_over = descriptor.data.is_some();
    let manifest = manifest_of(reader, &descriptor).await?;
    let found = manifest.bytes.len() as u64;
    // An index may leave the size out.
    if found != descriptor.size && descriptor.size != 0 {
        let (digest, one) = (descriptor.digest, descriptor.size);
        return Err(BadImage::ConflictingSizes {
            digest,
            one,
            other: found,
        }
        .into());
    }
    Ok(ReadManifest {
        media_type: media_type(&manifest.media_type, &descriptor.media_type),
        manifest,
        platform: platform.filter(Platform::is_whole),
        is_attestation,
        hand_over,
    })
}

/// Returns the manifest from the entry that embeds it, else from the registry.
async fn manifest_of(reader: &Reader, descriptor: &Descriptor) -> Result<FetchedManifest, Trouble> {
    let Descriptor {
        digest,
        media_type,
        data,
        ..
    } = descriptor;
    match data {
        Some(bytes) => Ok(FetchedManifest {
            bytes: bytes.clone(),
            digest: digest.clone(),
            media_type: media_type.clone(),
        }),
        None => reader.manifest(&TagOrDigest::Digest(digest.clone())).await,
    }
}

/// Reads an entry of the image's index; or returns a note if runtimes do not need it and the registry lacks it.
async fn read_entry(reader: &Reader, entry: IndexEntry) -> Result<Result<ReadManifest, String>, Trouble> {
    let (digest, platform) = (entry.descriptor.digest.clone(), entry.platform.clone());
    let is_attestation = entry.is_attestation();
    match read(reader, entry).await {
        Ok(read) => Ok(Ok(read)),
        Err(trouble) if is_attestation && !trouble.retry => {
            Ok(Err(format!("left out: attestation {digest}: {}", trouble.text)))
        }
        Err(trouble) if trouble.kind == "not_found" => Err(lacking(reader, &digest, platform.as_ref())),
        Err(trouble) => Err(trouble),
    }
}

/// Returns every object below a manifest, itself included.
pub(super) async fn below(
    reader: &Reader,
    root: ReadManifest,
    wanted: &WantedPlatforms,
    limits: &Limits,
) -> Result<Gathered, Trouble> {
    let mut walk = Walk {
        reader,
        limits,
        choice: PlatformChoice::new(wanted),
        gathered: Gathered::new(limits.max_objects),
    };
    let mut seen: HashSet<Digest> = HashSet::from([root.digest().clone()]);
    let mut level: Vec<Result<ReadManifest, String>> = vec![Ok(root)];
    for depth in 0.. {
        let mut next = Vec::new();
        for read in level {
            match read {
                Ok(read) => next.extend(walk.take_in(read, depth).await?),
                Err(note) => walk.gathered.note(&note),
            }
        }
        next.retain(|entry| seen.insert(entry.descriptor.digest.clone()));
        if next.is_empty() {
            break;
        }
        if seen.len() > limits.max_objects {
            return Err(BadImage::TooManyObjects(limits.max_objects).into());
        }
        level = stream::iter(next)
            .map(|entry| read_entry(reader, entry))
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
    }
    walk.choice
        .end()
        .map_err(|missing| Trouble::of_caller(missing.to_string()))?;
    Ok(walk.gathered)
}

struct Walk<'a> {
    reader: &'a Reader,
    limits: &'a Limits,
    choice: PlatformChoice<'a>,
    gathered: Gathered,
}

impl Walk<'_> {
    /// Adds the objects of one manifest, and returns the entries to read next.
    async fn take_in(&mut self, mut read: ReadManifest, depth: usize) -> Result<Vec<IndexEntry>, Trouble> {
        let parsed = match read.parsed() {
            Err(trouble) if read.is_attestation => {
                let text = format!("left out: an attestation: {}", trouble.text);
                self.gathered.note(&text);
                return Ok(Vec::new());
            }
            parsed => parsed?,
        };
        match parsed {
            Manifest::Image {
                config,
                layers,
                unusable,
                ..
            } => {
                if self.is_wanted(&mut read, config.as_ref(), depth).await? {
                    self.add_image(&read, config, layers, &unusable)?;
                }
                Ok(Vec::new())
            }
            Manifest::Index { .. } if depth >= self.limits.max_depth => {
                let most = self.limits.max_depth;
                Err(bad(
                    read.digest(),
                    format!("its indexes are nested deeper than {most} levels"),
                ))
            }
            Manifest::Index { entries, unusable } => {
                self.gathered.add(read.digest().clone(), read.object())?;
                let entries = self.without_odd_ones(read.digest(), entries)?;
                let entries = self.choice.of_index(entries);
                self.leave_out(read.digest(), &unusable)?;
                Ok(entries)
            }
        }
    }

    /// Notes the unusable entries of an index. An error if the preheat needs one.
    fn leave_out(&mut self, index: &Digest, unusable: &[UnusableEntry]) -> Result<(), Trouble> {
        for entry in unusable {
            match self.choice.need(entry) {
                Need::Needed => return Err(needed("entry", index, entry, entry.platform.as_ref())),
                Need::Useful => self.gathered.note(&noted("entry", index, entry)),
                Need::Unwanted => {}
            }
        }
        Ok(())
    }

    /// Reads the platform from the config if no index lists it.
    async fn is_wanted(
        &mut self,
        read: &mut ReadManifest,
        config: Option<&Descriptor>,
        depth: usize,
    ) -> Result<bool, Trouble> {
        if read.platform.is_some() || !self.choice.needs_platform(depth == 0) {
            return Ok(true);
        }
        if let Some(config) = config.filter(|config| config.is_image_config()) {
            read.platform = platform_of_config(&self.reader.document(config).await?);
        }
        Ok(self.choice.wants_config(read.platform.as_ref()))
    }

    fn add_image(
        &mut self,
        read: &ReadManifest,
        config: Option<Descriptor>,
        layers: Vec<Descriptor>,
        unusable: &[UnusableEntry],
    ) -> Result<(), Trouble> {
        let platform = read.platform.as_ref();
        match unusable.first() {
            Some(entry) if read.is_attestation => {
                self.gathered.note(&noted("layer", read.digest(), entry));
                return Ok(());
            }
            Some(entry) => return Err(needed("layer", read.digest(), entry, platform)),
            None => {}
        }
        self.gathered.add(read.digest().clone(), read.object())?;
        if let Some(config) = config {
            add_blob(&mut self.gathered, Class::Config, config, platform)?;
        }
        for layer in layers {
            if layer.is_foreign() && !layer.urls.is_empty() {
                self.gathered.note(&foreign(read.digest(), &layer));
            } else {
                add_blob(&mut self.gathered, Class::Layer, layer, platform)?;
            }
        }
        Ok(())
    }

    /// Leaves out entries that are no manifests, as the specification demands.
    fn without_odd_ones(
        &mut self,
        index: &Digest,
        entries: Vec<IndexEntry>,
    ) -> Result<Vec<IndexEntry>, Trouble> {
        let (entries, odd): (Vec<_>, Vec<_>) = entries.into_iter().partition(IndexEntry::may_be_manifest);
        for IndexEntry { descriptor, .. } in &odd {
            let Descriptor {
                digest, media_type, ..
            } = descriptor;
            let text = format!("lists {digest} of type {media_type:?}, which is no image manifest");
            if entries.is_empty() {
                return Err(Trouble::of_caller(format!("the index {text}")));
            }
            self.gathered.note(&format!("left out: the index {index} {text}"));
        }
        Ok(entries)
    }
}

fn add_blob(
    gathered: &mut Gathered,
    class: Class,
    descriptor: Descriptor,
    platform: Option<&Platform>,
) -> Result<(), Trouble> {
    let Descriptor {
        digest,
        size,
        media_type,
        data,
        ..
    } = descriptor;
    gathered.add(
        digest,
        FoundObject {
            class,
            media_type,
            size,
            platform: platform.cloned(),
            bytes: data,
        },
    )?;
    Ok(())
}

/// The number of manifests that are fetched at the same time.
const AT_ONCE: usize = 8;
