//! The objects that held manifests list, and for each object the manifests that list it.
//!
//! **Invariant:** an image manifest covers blobs, an index covers manifests. Neither covers an object with `urls`,
//! which lies elsewhere: a registry does not check that the repository has it, so anybody could list it. A lookup
//! visits only the manifests that list the object, at its own location.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use oci::manifest::{BYTES_LIMIT, Manifest, parse};
use oci::{Digest, Location};
use parking_lot::{Mutex, MutexGuard};
use store::{Store, StoreEvent};
use tokio::io::AsyncReadExt as _;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::TryRecvError;
use wire::ObjectKind;

/// Entries of all listings in memory: about 40 MB. The oldest listing makes room; it is read from the disk again when
/// it is needed.
const KEPT_ENTRIES: usize = 100_000;
/// Enough for an index of indexes of indexes.
const DEPTH: usize = 4;
/// Entries that one lookup reads from the disk. Beyond that the registry is asked, and the next lookup reads on.
const READ_AT_ONCE: usize = 20_000;
/// The cost of opening a manifest, in entries.
const OPENING: usize = 20;
/// Manifests that one lookup visits. Beyond that, the registry is asked.
const VISITED: usize = 2_000;

/// The digests that one manifest lists.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Listing {
    manifests: HashSet<Digest>,
    blobs: HashMap<Digest, u64>,
}

impl Listing {
    /// Returns the objects that can be fetched. An entry that is unusable, and a whole manifest that is invalid, cover
    /// nothing: the manifest is served as it is.
    pub(crate) fn of(bytes: &[u8], media_type: &str) -> Self {
        match parse(bytes, media_type) {
            Ok(Manifest::Image { config, layers, .. }) => Self {
                manifests: HashSet::new(),
                blobs: config
                    .into_iter()
                    .chain(layers)
                    .filter(|object| object.urls.is_empty() && !object.is_foreign())
                    .map(|object| (object.digest, object.size))
                    .collect(),
            },
            Ok(Manifest::Index { entries, .. }) => Self {
                manifests: entries.into_iter().map(|entry| entry.descriptor.digest).collect(),
                blobs: HashMap::new(),
            },
            Err(_) => Self::default(),
        }
    }

    fn lists(&self, digest: &Digest, kind: ObjectKind) -> bool {
        match kind {
            ObjectKind::Manifest => self.manifests.contains(digest),
            ObjectKind::Blob => self.blobs.contains_key(digest),
        }
    }

    fn all(&self) -> impl Iterator<Item = &Digest> {
        self.manifests.iter().chain(self.blobs.keys())
    }

    fn len(&self) -> usize {
        // A listing counts itself, so that empty ones are bounded too.
        1 + self.manifests.len() + self.blobs.len()
    }
}

/// The manifests that list one object, or list a manifest that does.
#[derive(Debug, Default)]
pub(crate) struct CoveringManifests {
    manifests: HashSet<Digest>,
    /// Manifests that were visited to find these.
    visited: usize,
}

impl CoveringManifests {
    /// Returns whether a grant for `manifest` covers the object.
    pub(crate) fn contains(&self, manifest: &Digest) -> bool {
        self.manifests.contains(manifest)
    }
}

/// The listings of one location.
#[derive(Default)]
struct LocationListings {
    read: HashMap<Digest, Listing>,
    listed_by: HashMap<Digest, Vec<Digest>>,
    /// Manifests that are listed and held, and not read yet.
    to_read: BTreeSet<Digest>,
}

impl LocationListings {
    fn add(&mut self, manifest: &Digest, listing: Listing) {
        for digest in listing.all() {
            let lists = self.listed_by.entry(digest.clone()).or_default();
            lists.push(manifest.clone());
        }
        self.read.insert(manifest.clone(), listing);
    }

    /// Returns the number of removed entries.
    fn remove(&mut self, manifest: &Digest) -> usize {
        let Some(listing) = self.read.remove(manifest) else {
            return 0;
        };
        for digest in listing.all() {
            if let Some(lists) = self.listed_by.get_mut(digest) {
                lists.retain(|one| one != manifest);
                if lists.is_empty() {
                    self.listed_by.remove(digest);
                    self.to_read.remove(digest);
                }
            }
        }
        listing.len()
    }

    fn above(&self, digest: &Digest, kind: ObjectKind) -> CoveringManifests {
        let mut above = CoveringManifests::default();
        let mut level = vec![(digest, kind)];
        for _ in 0..DEPTH {
            let mut next = Vec::new();
            for (digest, kind) in level {
                for manifest in self.listed_by.get(digest).into_iter().flatten() {
                    above.visited += 1;
                    if above.visited > VISITED {
                        return above;
                    }
                    let lists = self.read.get(manifest).is_some_and(|one| one.lists(digest, kind));
                    if lists && above.manifests.insert(manifest.clone()) {
                        next.push((manifest, ObjectKind::Manifest));
                    }
                }
            }
            level = next;
        }
        above
    }

    fn size_of(&self, blob: &Digest) -> Option<u64> {
        let lists = self.listed_by.get(blob)?.iter();
        lists
            .filter_map(|manifest| self.read.get(manifest))
            .find_map(|listing| listing.blobs.get(blob).copied())
    }

    fn lists_manifest(&self, digest: &Digest) -> bool {
        let mut lists = self.listed_by.get(digest).into_iter().flatten();
        let as_manifest = |one: &Listing| one.manifests.contains(digest);
        lists.any(|manifest| self.read.get(manifest).is_some_and(as_manifest))
    }

    /// Returns those that are held and not read yet.
    fn unread<'all>(&self, listed: impl Iterator<Item = &'all Digest>, store: &Store) -> Vec<Digest> {
        let is_unread = |one: &&Digest| !self.read.contains_key(*one) && store.about(one).is_some();
        listed.filter(is_unread).cloned().collect()
    }
}

#[derive(Default)]
struct KnownListings {
    locations: HashMap<Arc<Location>, LocationListings>,
    /// The oldest is at the front.
    by_age: VecDeque<(Arc<Location>, Digest)>,
    entries: usize,
}

impl KnownListings {
    fn learn(&mut self, location: &Location, manifest: &Digest, listing: Listing, store: &Store) {
        let known = self.locations.get_key_value(location);
        let name = known.map_or_else(|| Arc::new(location.clone()), |(name, _)| name.clone());
        let here = self.locations.entry(name.clone()).or_default();
        let replaced = here.remove(manifest);
        self.entries = self.entries + listing.len() - replaced;
        let children = here.unread(listing.manifests.iter(), store);
        here.to_read.extend(children);
        here.add(manifest, listing);
        if replaced == 0 {
            self.by_age.push_back((name, manifest.clone()));
        }
        self.forget_oldest();
    }

    fn forget_oldest(&mut self) {
        while self.entries > KEPT_ENTRIES && self.by_age.len() > 1 {
            let Some((location, manifest)) = self.by_age.pop_front() else {
                return;
            };
            if let Some(here) = self.locations.get_mut(&location) {
                self.entries -= here.remove(&manifest);
                if here.read.is_empty() {
                    self.locations.remove(&location);
                }
            }
        }
    }

    /// The store has gained this object.
    fn gained(&mut self, digest: &Digest) {
        for here in self.locations.values_mut() {
            if here.lists_manifest(digest) && !here.read.contains_key(digest) {
                here.to_read.insert(digest.clone());
            }
        }
    }

    /// Looks for every unread manifest again, because events of the store were missed.
    fn look_again(&mut self, store: &Store) {
        for here in self.locations.values_mut() {
            let listed = here.read.values().flat_map(|listing| &listing.manifests);
            here.to_read = here.unread(listed, store).into_iter().collect();
        }
    }
}

pub(crate) struct Listings {
    store: Store,
    known: Mutex<KnownListings>,
    events: Mutex<Receiver<StoreEvent>>,
}

impl Listings {
    pub(crate) fn new(store: Store) -> Self {
        Self {
            events: Mutex::new(store.watch()),
            known: Mutex::default(),
            store,
        }
    }

    /// Returns the manifests of this location that cover the object, after reading unread `candidates`.
    pub(crate) async fn above(
        &self,
        location: &Location,
        candidates: &[Digest],
        digest: &Digest,
        kind: ObjectKind,
    ) -> CoveringManifests {
        self.apply_events();
        let nothing = LocationListings::default();
        let mut waiting: VecDeque<Digest> = {
            let known = self.known();
            let here = known.locations.get(location).unwrap_or(&nothing);
            here.unread(candidates.iter(), &self.store).into()
        };
        let mut cost = 0;
        while cost < READ_AT_ONCE {
            let Some(manifest) = waiting.pop_front().or_else(|| self.next_to_read(location)) else {
                break;
            };
            cost += OPENING + self.read(location, &manifest).await.unwrap_or_default();
        }
        let known = self.known();
        let here = known.locations.get(location);
        here.map_or_else(CoveringManifests::default, |here| here.above(digest, kind))
    }

    /// Returns a blob's size, if a manifest of this location that was read lists the blob.
    pub(crate) fn size_of(&self, location: &Location, blob: &Digest) -> Option<u64> {
        self.known().locations.get(location)?.size_of(blob)
    }

    /// Keeps what a proven manifest lists. It need not be on the disk yet. Returns the number of entries.
    pub(crate) fn learn(
        &self,
        location: &Location,
        manifest: &Digest,
        bytes: &[u8],
        media_type: &str,
    ) -> usize {
        if self.lists_something(location, manifest) {
            return 0;
        }
        let listing = Listing::of(bytes, media_type);
        let entries = listing.len();
        self.known().learn(location, manifest, listing, &self.store);
        entries
    }

    /// An empty listing may come from a wrong media type, so it is read again.
    fn lists_something(&self, location: &Location, manifest: &Digest) -> bool {
        let known = self.known();
        let here = known.locations.get(location);
        let listing = here.and_then(|here| here.read.get(manifest));
        listing.is_some_and(|listing| listing.len() > 1)
    }

    /// Returns the number of entries, or none if the peer does not hold the manifest.
    async fn read(&self, location: &Location, manifest: &Digest) -> Option<usize> {
        let sealed = self.store.sealed(manifest)?;
        if sealed.size > BYTES_LIMIT as u64 {
            return None;
        }
        let media_type = self.store.about(manifest).and_then(|about| about.media_type);
        let file = tokio::fs::File::open(sealed.path()).await.ok()?;
        let mut bytes = Vec::new();
        file.take(BYTES_LIMIT as u64).read_to_end(&mut bytes).await.ok()?;
        let media_type = media_type.as_deref().unwrap_or_default();
        Some(self.learn(location, manifest, &bytes, media_type))
    }

    fn next_to_read(&self, location: &Location) -> Option<Digest> {
        self.known().locations.get_mut(location)?.to_read.pop_first()
    }

    fn apply_events(&self) {
        let mut events = self.events.lock();
        loop {
            match events.try_recv() {
                Ok(StoreEvent::Gained(held)) => {
                    if let Ok(digest) = held.digest.parse() {
                        self.known().gained(&digest);
                    }
                }
                Ok(StoreEvent::Lost(_)) => {}
                Err(TryRecvError::Lagged(_)) => self.known().look_again(&self.store),
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, KnownListings> {
        self.known.lock()
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
    fn a_layer_with_urls_is_not_covered() {
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
    fn an_invalid_manifest_covers_nothing() {
        assert_eq!(Listing::of(b"{", ""), Listing::default());
    }

    fn location(repository: &str) -> Location {
        let text = format!("https://reg.lan/v2/{repository}");
        text.parse().expect("a location")
    }

    fn digest(of: &str) -> Digest {
        Digest::of(of.as_bytes())
    }

    fn index(children: impl Iterator<Item = Digest>) -> Vec<u8> {
        let entries: Vec<serde_json::Value> = children
            .map(|child| serde_json::json!({ "mediaType": IMAGE, "digest": child, "size": 5 }))
            .collect();
        serde_json::json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries })
            .to_string()
            .into_bytes()
    }

    struct ListingsFixture {
        listings: Listings,
        store: Store,
        _folder: tempfile::TempDir,
    }

    impl ListingsFixture {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let store = Store::open(folder.path()).expect("a store");
            Self {
                listings: Listings::new(store.clone()),
                store,
                _folder: folder,
            }
        }

        fn learn(&self, repository: &str, bytes: &[u8], media_type: &str) -> Digest {
            let manifest = Digest::of(bytes);
            self.listings
                .learn(&location(repository), &manifest, bytes, media_type);
            manifest
        }

        /// As a preheat brings it: the front has not read it.
        async fn seal(&self, bytes: &[u8], media_type: &str) -> Digest {
            let manifest = Digest::of(bytes);
            let proven = store::ProvenBytes::prove(&manifest, bytes.to_vec().into()).expect("its digest");
            let kept = self
                .store
                .keep(proven, Some(media_type.to_owned()), ObjectKind::Manifest);
            kept.await.expect("kept");
            manifest
        }

        async fn above(&self, candidates: &[Digest], digest: &Digest, kind: ObjectKind) -> CoveringManifests {
            self.listings
                .above(&location("a"), candidates, digest, kind)
                .await
        }

        fn entries(&self) -> usize {
            self.listings.known().entries
        }
    }

    #[tokio::test]
    async fn a_miss_visits_no_listing() {
        let world = ListingsFixture::new();
        let indexes: Vec<Digest> = (0..60)
            .map(|number| {
                let children = (0..1_000).map(|child| digest(&format!("{number}/{child}")));
                world.learn("a", &index(children), INDEX)
            })
            .collect();
        let missed = world
            .above(&indexes, &digest("listed nowhere"), ObjectKind::Blob)
            .await;
        assert_eq!((missed.visited, missed.manifests.len()), (0, 0));
        let found = world.above(&indexes, &digest("7/9"), ObjectKind::Manifest).await;
        assert_eq!(found.visited, 1);
        assert!(found.contains(&indexes[7]) && !found.contains(&indexes[8]));
    }

    #[tokio::test]
    async fn an_index_covers_the_blobs_of_its_manifests_in_any_reading_order() {
        let layer = digest("layer");
        let entry = format!(r#"{{"mediaType":"{LAYER}","digest":"{layer}","size":5}}"#);
        let manifest = image(&entry).into_bytes();
        let root = index(std::iter::once(Digest::of(&manifest)));
        for root_first in [true, false] {
            let world = ListingsFixture::new();
            let mut both = [(&root, INDEX), (&manifest, IMAGE)];
            if !root_first {
                both.reverse();
            }
            for (bytes, media_type) in both {
                world.learn("a", bytes, media_type);
            }
            let above = world.above(&[], &layer, ObjectKind::Blob).await;
            assert!(above.contains(&Digest::of(&root)) && above.contains(&Digest::of(&manifest)));
            let as_manifest = world.above(&[], &layer, ObjectKind::Manifest).await;
            assert!(as_manifest.manifests.is_empty(), "a layer is no manifest");
        }
    }

    #[tokio::test]
    async fn listings_of_one_location_do_not_count_for_another() {
        let world = ListingsFixture::new();
        let child = digest("child");
        let root = world.learn("b", &index(std::iter::once(child.clone())), INDEX);
        let above = world
            .above(std::slice::from_ref(&root), &child, ObjectKind::Manifest)
            .await;
        assert!(!above.contains(&root));
        let layer = digest("layer");
        let entry = format!(r#"{{"mediaType":"{LAYER}","digest":"{layer}","size":5}}"#);
        world.learn("b", image(&entry).as_bytes(), IMAGE);
        assert_eq!(world.listings.size_of(&location("b"), &layer), Some(5));
        assert_eq!(world.listings.size_of(&location("a"), &layer), None);
    }

    #[tokio::test]
    async fn manifests_on_disk_are_found_whenever_they_arrive() {
        let layer = digest("layer");
        let entry = format!(r#"{{"mediaType":"{LAYER}","digest":"{layer}","size":5}}"#);
        let manifest = image(&entry).into_bytes();
        let root = index(std::iter::once(Digest::of(&manifest)));
        let world = ListingsFixture::new();
        let root = [world.seal(&root, INDEX).await];
        let before = world.above(&root, &layer, ObjectKind::Blob).await;
        assert!(!before.contains(&root[0]));
        world.seal(&manifest, IMAGE).await;
        let after = world.above(&root, &layer, ObjectKind::Blob).await;
        assert!(after.contains(&root[0]));
        // After a restart nothing is in memory.
        let again = Listings::new(world.store.clone());
        let above = again.above(&location("a"), &root, &layer, ObjectKind::Blob).await;
        assert!(above.contains(&root[0]));
    }

    #[tokio::test]
    async fn one_lookup_reads_a_bounded_amount_and_the_next_continues() {
        let world = ListingsFixture::new();
        let mut roots = Vec::new();
        for number in 0..30 {
            let children = (0..1_000).map(|child| digest(&format!("{number}/{child}")));
            roots.push(world.seal(&index(children), INDEX).await);
        }
        let missed = digest("listed nowhere");
        world.above(&roots, &missed, ObjectKind::Blob).await;
        let read = world.entries();
        assert!((10_000..=READ_AT_ONCE + 1_001).contains(&read), "{read}");
        world.above(&roots, &missed, ObjectKind::Blob).await;
        assert_eq!(world.entries(), 30 * 1_001);
    }

    #[tokio::test]
    async fn a_blob_that_comes_is_not_read_as_a_manifest() {
        let world = ListingsFixture::new();
        let inner = image("");
        let layer = Digest::of(inner.as_bytes());
        let entry = format!(r#"{{"mediaType":"{LAYER}","digest":"{layer}","size":5}}"#);
        world.learn("a", image(&entry).as_bytes(), IMAGE);
        world.seal(inner.as_bytes(), IMAGE).await;
        let before = world.entries();
        world.above(&[], &digest("anything"), ObjectKind::Blob).await;
        assert_eq!(world.entries(), before);
    }

    #[tokio::test]
    async fn missed_events_are_recovered() {
        let layer = digest("layer");
        let entry = format!(r#"{{"mediaType":"{LAYER}","digest":"{layer}","size":5}}"#);
        let manifest = image(&entry).into_bytes();
        let world = ListingsFixture::new();
        let root = world.learn("a", &index(std::iter::once(Digest::of(&manifest))), INDEX);
        world.seal(&manifest, IMAGE).await;
        // As after too many events: the one of this object is lost.
        *world.listings.events.lock() = world.store.watch();
        let roots = [root];
        let lost = world.above(&roots, &layer, ObjectKind::Blob).await;
        assert!(!lost.contains(&roots[0]), "or this test shows nothing");
        world.listings.known().look_again(&world.store);
        let found = world.above(&roots, &layer, ObjectKind::Blob).await;
        assert!(found.contains(&roots[0]));
    }

    #[tokio::test]
    async fn the_oldest_listing_is_removed_first_and_completely() {
        let world = ListingsFixture::new();
        let roots: Vec<Digest> = (0..150)
            .map(|number| {
                let children = (0..1_000).map(|child| digest(&format!("{number}/{child}")));
                world.learn("a", &index(children), INDEX)
            })
            .collect();
        assert!(world.entries() <= KEPT_ENTRIES);
        let first = world.above(&[], &digest("0/0"), ObjectKind::Manifest).await;
        assert!(!first.contains(&roots[0]));
        let last = world.above(&[], &digest("149/0"), ObjectKind::Manifest).await;
        assert!(last.contains(&roots[149]));
        let known = world.listings.known();
        let here = known.locations.get(&location("a")).expect("listings");
        assert_eq!(here.read.values().map(Listing::len).sum::<usize>(), known.entries);
        assert_eq!(here.read.len(), known.by_age.len());
        assert_eq!(here.listed_by.len(), here.read.len() * 1_000);
    }

    #[tokio::test]
    async fn an_object_that_very_many_manifests_list_costs_a_bounded_walk() {
        let world = ListingsFixture::new();
        for number in 0..=VISITED {
            let own = digest(&number.to_string());
            world.learn("a", &index([digest("child"), own].into_iter()), INDEX);
        }
        let above = world.above(&[], &digest("child"), ObjectKind::Manifest).await;
        assert_eq!(above.visited, VISITED + 1);
    }
}
