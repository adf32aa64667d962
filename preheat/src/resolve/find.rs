//! Walks from a reference to every object that the image needs: manifests, indexes, configs and layers.

use std::collections::HashSet;

use futures_util::{StreamExt, TryStreamExt, stream};
use oci::manifest::{Descriptor, IndexEntry, Manifest, parse};
use oci::{Digest, FetchedManifest, MANIFEST_ACCEPT, Platform, TagOrDigest};

use super::reader::Reader;
use super::trouble::Trouble;
use crate::gather::{BadImage, Class, FoundObject, Gathered};
use crate::limits::Limits;

/// Manifests that are asked for at the same time.
const AT_ONCE: usize = 8;

pub(crate) struct Found {
    pub(crate) objects: Gathered,
    pub(crate) digest: Digest,
    pub(crate) media_type: String,
    pub(crate) public: bool,
    pub(crate) credential: Option<String>,
}

/// A manifest that was read, and the machine that it is for.
struct Read {
    manifest: FetchedManifest,
    media_type: String,
    platform: Option<Platform>,
}

pub(crate) async fn find(
    reader: &Reader,
    wanted: &TagOrDigest,
    platforms: &[Platform],
    limits: &Limits,
) -> Result<Found, Trouble> {
    let manifest = reader.manifest(wanted).await?;
    let digest = manifest.digest.clone();
    let media_type = media_type(&manifest.media_type, "");
    let root = Read {
        manifest,
        media_type: media_type.clone(),
        platform: None,
    };
    let (objects, public) = tokio::join!(
        objects_below(reader, root, platforms, limits),
        reader.is_public(&digest)
    );
    Ok(Found {
        objects: objects?,
        digest,
        media_type,
        public,
        credential: reader.credential_name(),
    })
}

async fn objects_below(
    reader: &Reader,
    root: Read,
    platforms: &[Platform],
    limits: &Limits,
) -> Result<Gathered, Trouble> {
    let mut gathered = Gathered::new(limits.max_objects);
    let mut asked: HashSet<Digest> = HashSet::from([root.manifest.digest.clone()]);
    let mut level = vec![root];
    for depth in 0.. {
        let mut next = Vec::new();
        for read in level {
            next.extend(take_in(&mut gathered, read, platforms, depth, limits.max_depth)?);
        }
        next.retain(|entry| asked.insert(entry.descriptor.digest.clone()));
        if next.is_empty() {
            break;
        }
        if asked.len() > limits.max_objects {
            return Err(BadImage::TooManyObjects(limits.max_objects).into());
        }
        level = stream::iter(next)
            .map(|entry| read(reader, entry))
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
    }
    Ok(gathered)
}

async fn read(reader: &Reader, entry: IndexEntry) -> Result<Read, Trouble> {
    let IndexEntry { descriptor, platform } = entry;
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
    Ok(Read {
        manifest,
        media_type,
        platform,
    })
}

/// The type that a runtime is told: what the registry said, else what the index said.
fn media_type(said: &str, listed: &str) -> String {
    let said = said.split(';').next().unwrap_or_default().trim();
    let known = [said, listed]
        .into_iter()
        .find(|text| MANIFEST_ACCEPT.contains(text));
    known.unwrap_or(said).to_owned()
}

/// Takes one manifest's objects in; what comes back has to be read next.
fn take_in(
    gathered: &mut Gathered,
    read: Read,
    platforms: &[Platform],
    depth: usize,
    max_depth: usize,
) -> Result<Vec<IndexEntry>, Trouble> {
    let digest = read.manifest.digest.clone();
    let bad = |cause: String| Trouble::of_image(&format!("manifest {digest}"), cause);
    let manifest = parse(&read.manifest.bytes, &read.media_type).map_err(|cause| bad(cause.to_string()))?;
    let own = FoundObject {
        class: Class::Manifest,
        media_type: read.media_type,
        size: read.manifest.bytes.len() as u64,
        platform: read.platform.clone(),
    };
    gathered.add(digest.clone(), own)?;
    match manifest {
        Manifest::Image { config, layers } => {
            add_blob(gathered, Class::Config, config, read.platform.as_ref())?;
            for layer in layers
                .into_iter()
                .filter(|layer| !layer.is_foreign() || layer.urls.is_empty())
            {
                add_blob(gathered, Class::Layer, layer, read.platform.as_ref())?;
            }
            Ok(Vec::new())
        }
        Manifest::Index { .. } if depth >= max_depth => Err(bad(format!(
            "its indexes are nested deeper than {max_depth} levels"
        ))),
        Manifest::Index { entries } => chosen(entries, platforms, depth).map_err(bad_choice),
    }
}

fn bad_choice(text: String) -> Trouble {
    Trouble::of_caller(text)
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

/// The entries of an index that are wanted: all, attestations included, unless platforms were named.
fn chosen(entries: Vec<IndexEntry>, platforms: &[Platform], depth: usize) -> Result<Vec<IndexEntry>, String> {
    if let Some(odd) = entries.iter().find(|entry| !entry.descriptor.is_manifest()) {
        let Descriptor {
            digest, media_type, ..
        } = &odd.descriptor;
        return Err(format!(
            "the index lists {digest} of type {media_type:?}, which is no image manifest"
        ));
    }
    if platforms.is_empty() {
        return Ok(entries);
    }
    let is_wanted = |entry: &IndexEntry| match &entry.platform {
        Some(found) => platforms.iter().any(|platform| platform.matches(found)),
        // An index within an index names its platforms itself.
        None => entry.descriptor.media_type.contains("index") || entry.descriptor.media_type.contains("list"),
    };
    let there: Vec<String> = entries
        .iter()
        .filter_map(|entry| entry.platform.as_ref())
        .map(ToString::to_string)
        .collect();
    let wanted: Vec<IndexEntry> = entries.into_iter().filter(is_wanted).collect();
    if wanted.is_empty() && depth == 0 {
        let asked: Vec<String> = platforms.iter().map(ToString::to_string).collect();
        return Err(format!(
            "the image has nothing for {}; it has {}",
            asked.join(", "),
            there.join(", ")
        ));
    }
    Ok(wanted)
}
