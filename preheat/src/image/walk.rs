//! Walks from a manifest to every object below it: manifests, indexes, configs and layers.

use std::collections::HashSet;

use futures_util::{StreamExt, TryStreamExt, stream};
use oci::manifest::{Descriptor, IndexEntry, Manifest, parse, platform_of_config};
use oci::{Digest, FetchedManifest, MANIFEST_ACCEPT, Platform, TagOrDigest};

use super::choice::{PlatformChoice, WantedPlatforms};
use super::foreign::foreign;
use super::objects::{BadImage, FoundObject, Gathered};
use super::reader::Reader;
use super::trouble::Trouble;
use crate::model::class::Class;
use crate::model::limits::Limits;

/// A manifest that was read, and its platform.
pub(super) struct ReadManifest {
    pub(super) manifest: FetchedManifest,
    pub(super) media_type: String,
    platform: Option<Platform>,
}

impl ReadManifest {
    pub(super) fn root(manifest: FetchedManifest) -> Self {
        Self {
            media_type: media_type(&manifest.media_type, ""),
            manifest,
            platform: None,
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
    let IndexEntry {
        descriptor, platform, ..
    } = entry;
    let manifest = reader
        .manifest(&TagOrDigest::Digest(descriptor.digest.clone()))
        .await?;
    let found = manifest.bytes.len() as u64;
    if found != descriptor.size {
        let (digest, one) = (descriptor.digest, descriptor.size);
        return Err(BadImage::ConflictingSizes {
            digest,
            one,
            other: found,
        }
        .into());
    }
    let media_type = media_type(&manifest.media_type, &descriptor.media_type);
    Ok(ReadManifest {
        manifest,
        media_type,
        platform,
    })
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
    let mut level = vec![root];
    for depth in 0.. {
        let mut next = Vec::new();
        for read in level {
            next.extend(walk.take_in(read, depth).await?);
        }
        next.retain(|entry| seen.insert(entry.descriptor.digest.clone()));
        if next.is_empty() {
            break;
        }
        if seen.len() > limits.max_objects {
            return Err(BadImage::TooManyObjects(limits.max_objects).into());
        }
        level = stream::iter(next)
            .map(|entry| read(reader, entry))
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
        match read.parsed()? {
            Manifest::Image { config, layers, .. } => {
                if self.is_wanted(&mut read, &config, depth).await? {
                    self.add_image(&read, config, layers)?;
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
            Manifest::Index { entries } => {
                self.gathered.add(read.digest().clone(), read.object())?;
                let entries = self.without_odd_ones(read.digest(), entries)?;
                Ok(self.choice.of_index(entries))
            }
        }
    }

    /// Reads the platform from the config if no index lists it.
    async fn is_wanted(
        &mut self,
        read: &mut ReadManifest,
        config: &Descriptor,
        depth: usize,
    ) -> Result<bool, Trouble> {
        if read.platform.is_some() || !self.choice.needs_platform(depth == 0) {
            return Ok(true);
        }
        if config.is_image_config() {
            read.platform = platform_of_config(&self.reader.document(config).await?);
        }
        Ok(self.choice.wants_config(read.platform.as_ref()))
    }

    fn add_image(
        &mut self,
        read: &ReadManifest,
        config: Descriptor,
        layers: Vec<Descriptor>,
    ) -> Result<(), Trouble> {
        let platform = read.platform.as_ref();
        self.gathered.add(read.digest().clone(), read.object())?;
        add_blob(&mut self.gathered, Class::Config, config, platform)?;
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
        let (entries, odd): (Vec<_>, Vec<_>) = entries
            .into_iter()
            .partition(|entry| entry.descriptor.is_manifest());
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
        ..
    } = descriptor;
    gathered.add(
        digest,
        FoundObject {
            class,
            media_type,
            size,
            platform: platform.cloned(),
        },
    )?;
    Ok(())
}

/// The number of manifests that are fetched at the same time.
const AT_ONCE: usize = 8;
