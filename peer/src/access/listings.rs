//! What manifests list, read from the manifests that this peer holds.
//!
//! **Invariant:** an image manifest covers blobs, an index covers manifests, and neither covers what it says lies
//! elsewhere (`urls`): a registry does not check that the repository has such an object, so anybody could list it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use oci::Digest;
use oci::manifest::{BYTES_LIMIT, Manifest, parse};
use tokio::io::AsyncReadExt as _;
use wire::ObjectKind;

use store::Store;

/// Listings in memory; beyond that they are read from the disk again.
const KEPT: usize = 2_000;
/// An index of indexes of indexes.
const DEPTH: usize = 4;

/// The digests that one manifest lists.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Listing {
    manifests: HashSet<Digest>,
    blobs: HashMap<Digest, u64>,
}

impl Listing {
    pub(crate) fn of(bytes: &[u8], media_type: &str) -> Self {
        match parse(bytes, media_type) {
            Ok(Manifest::Image { config, layers, .. }) => Self {
                manifests: HashSet::new(),
                blobs: std::iter::once(config)
                    .chain(layers)
                    .filter(|object| object.urls.is_empty() && !object.is_foreign())
                    .map(|object| (object.digest, object.size))
                    .collect(),
            },
            Ok(Manifest::Index { entries }) => Self {
                manifests: entries.into_iter().map(|entry| entry.descriptor.digest).collect(),
                blobs: HashMap::new(),
            },
            // What cannot be read covers nothing.
            Err(_) => Self::default(),
        }
    }

    fn lists(&self, digest: &Digest, kind: ObjectKind) -> bool {
        match kind {
            ObjectKind::Manifest => self.manifests.contains(digest),
            ObjectKind::Blob => self.blobs.contains_key(digest),
        }
    }
}

pub(crate) struct Listings {
    store: Store,
    read: Mutex<HashMap<Digest, Arc<Listing>>>,
}

impl Listings {
    pub(crate) fn new(store: Store) -> Self {
        Self {
            store,
            read: Mutex::default(),
        }
    }

    /// Whether a yes for `manifest` is one for this object: it lists it, or lists a manifest that does.
    pub(crate) async fn covers(&self, manifest: &Digest, digest: &Digest, kind: ObjectKind) -> bool {
        let mut level = vec![manifest.clone()];
        let mut seen = HashSet::new();
        for _ in 0..DEPTH {
            let mut next = Vec::new();
            for manifest in level {
                let Some(listing) = self.of(&manifest).await else {
                    continue;
                };
                if listing.lists(digest, kind) {
                    return true;
                }
                next.extend(
                    listing
                        .manifests
                        .iter()
                        .filter(|child| seen.insert((*child).clone()))
                        .cloned(),
                );
            }
            level = next;
        }
        false
    }

    /// How long a blob is, as far as the manifests say that were read so far.
    pub(crate) fn size_of(&self, blob: &Digest) -> Option<u64> {
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        read.values().find_map(|listing| listing.blobs.get(blob).copied())
    }

    /// None while the peer does not hold the manifest.
    async fn of(&self, manifest: &Digest) -> Option<Arc<Listing>> {
        if let Some(listing) = self
            .read
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(manifest)
        {
            return Some(listing.clone());
        }
        let sealed = self.store.sealed(manifest)?;
        if sealed.size > BYTES_LIMIT as u64 {
            return None;
        }
        let media_type = self.store.about(manifest).and_then(|about| about.media_type);
        let file = tokio::fs::File::open(sealed.path()).await.ok()?;
        let mut bytes = Vec::new();
        file.take(BYTES_LIMIT as u64).read_to_end(&mut bytes).await.ok()?;
        Some(self.learn(manifest, &bytes, media_type.as_deref().unwrap_or_default()))
    }

    /// Takes what a proven manifest lists, also before it is on the disk.
    pub(crate) fn learn(&self, manifest: &Digest, bytes: &[u8], media_type: &str) -> Arc<Listing> {
        let listing = Arc::new(Listing::of(bytes, media_type));
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if read.len() >= KEPT {
            read.clear();
        }
        read.insert(manifest.clone(), listing.clone());
        listing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
    const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

    fn image(layers: &str) -> String {
        let config = Digest::of(b"config");
        format!(
            r#"{{"schemaVersion":2,"mediaType":"{IMAGE}","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{config}","size":6}},"layers":[{layers}]}}"#
        )
    }

    #[test]
    fn an_image_lists_its_blobs_as_blobs_only() {
        let layer = Digest::of(b"layer");
        let text = image(&format!(
            r#"{{"mediaType":"{LAYER}","digest":"{layer}","size":5}}"#
        ));
        let listing = Listing::of(text.as_bytes(), IMAGE);
        assert!(listing.lists(&layer, ObjectKind::Blob));
        assert!(listing.lists(&Digest::of(b"config"), ObjectKind::Blob));
        assert!(!listing.lists(&layer, ObjectKind::Manifest));
    }

    #[test]
    fn a_layer_that_lies_elsewhere_is_not_covered() {
        let layer = Digest::of(b"of somebody else");
        let text = image(&format!(
            r#"{{"mediaType":"{LAYER}","digest":"{layer}","size":5,"urls":["https://elsewhere"]}}"#
        ));
        assert!(!Listing::of(text.as_bytes(), IMAGE).lists(&layer, ObjectKind::Blob));
    }

    #[test]
    fn an_index_lists_manifests_only() {
        let child = Digest::of(b"child");
        let text = format!(
            r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[{{"mediaType":"{IMAGE}","digest":"{child}","size":5}}]}}"#
        );
        let listing = Listing::of(text.as_bytes(), INDEX);
        assert!(listing.lists(&child, ObjectKind::Manifest));
        assert!(!listing.lists(&child, ObjectKind::Blob));
    }

    #[test]
    fn what_cannot_be_read_covers_nothing() {
        assert_eq!(Listing::of(b"{", ""), Listing::default());
    }
}
