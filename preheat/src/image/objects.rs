//! Collects the objects of an image while its manifests are read, and refuses contradictions.
//!
//! **Invariant:** one digest has one size and one kind; count and sum are bounded.

use std::collections::BTreeMap;

use bytes::Bytes;
use oci::{Digest, Platform};

use crate::model::class::Class;
use crate::model::limits::MAX_IMAGE_BYTES;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FoundObject {
    pub(crate) class: Class,
    pub(crate) media_type: String,
    pub(crate) size: u64,
    pub(crate) platform: Option<Platform>,
    /// The object itself, for seeds: the registry does not have it under its digest, or need not be asked.
    pub(crate) bytes: Option<Bytes>,
}

#[derive(Debug, Clone)]
pub(crate) struct Gathered {
    objects: BTreeMap<Digest, FoundObject>,
    /// In the order in which they were found, the root first.
    manifests: Vec<Digest>,
    bytes: u64,
    max_objects: usize,
    notes: Vec<String>,
    dropped_notes: usize,
}

/// Limits of the notes of one image: their number, and the letters of each.
const NOTES: usize = 20;
const NOTE_LETTERS: usize = 600;

/// The image contradicts itself or is beyond all limits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadImage {
    #[error("{digest} is listed with two sizes, {one} bytes and {other} bytes")]
    ConflictingSizes { digest: Digest, one: u64, other: u64 },
    #[error("{digest} is listed both as a manifest and as a blob")]
    ConflictingKinds { digest: Digest },
    #[error("it has more than {0} objects")]
    TooManyObjects(usize),
    #[error("its objects add up to more than {MAX_IMAGE_BYTES} bytes")]
    TooLarge,
}

impl Gathered {
    pub(crate) fn new(max_objects: usize) -> Self {
        Self {
            objects: BTreeMap::new(),
            manifests: Vec::new(),
            bytes: 0,
            max_objects,
            notes: Vec::new(),
            dropped_notes: 0,
        }
    }

    /// Returns `false` if the object was added before.
    pub(crate) fn add(&mut self, digest: Digest, found: FoundObject) -> Result<bool, BadImage> {
        if let Some(before) = self.objects.get(&digest) {
            if before.size != found.size {
                return Err(BadImage::ConflictingSizes {
                    digest,
                    one: before.size,
                    other: found.size,
                });
            }
            if (before.class == Class::Manifest) != (found.class == Class::Manifest) {
                return Err(BadImage::ConflictingKinds { digest });
            }
            return Ok(false);
        }
        if self.objects.len() >= self.max_objects {
            return Err(BadImage::TooManyObjects(self.max_objects));
        }
        self.bytes = self.bytes.saturating_add(found.size);
        if self.bytes > MAX_IMAGE_BYTES {
            return Err(BadImage::TooLarge);
        }
        if found.class == Class::Manifest {
            self.manifests.push(digest.clone());
        }
        self.objects.insert(digest, found);
        Ok(true)
    }

    /// Adds all objects of another one, or none of them.
    pub(crate) fn take_over(&mut self, other: Self) -> Result<(), BadImage> {
        let Self {
            mut objects,
            manifests,
            notes,
            ..
        } = other;
        let mut together = self.clone();
        let manifests = manifests
            .into_iter()
            .filter_map(|digest| objects.remove_entry(&digest));
        for (digest, found) in manifests.collect::<Vec<_>>().into_iter().chain(objects) {
            together.add(digest, found)?;
        }
        for note in &notes {
            together.note(note);
        }
        *self = together;
        Ok(())
    }

    /// Adds a note for readers: what was left out, and why.
    pub(crate) fn note(&mut self, text: &str) {
        if self.notes.iter().any(|note| note == text) {
            return;
        }
        if self.notes.len() < NOTES {
            self.notes.push(text.chars().take(NOTE_LETTERS).collect());
        } else {
            self.dropped_notes += 1;
        }
    }

    pub(crate) fn notes(&self) -> Vec<String> {
        let more = (self.dropped_notes > 0).then(|| format!("and {} more notes", self.dropped_notes));
        self.notes.iter().cloned().chain(more).collect()
    }

    /// Manifests in the order in which they were found, the root first.
    pub(crate) fn manifests(&self) -> impl Iterator<Item = (&Digest, &FoundObject)> {
        self.manifests
            .iter()
            .filter_map(|digest| self.objects.get_key_value(digest))
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn objects(&self) -> &BTreeMap<Digest, FoundObject> {
        &self.objects
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(class: Class, size: u64) -> FoundObject {
        FoundObject {
            class,
            media_type: String::new(),
            size,
            platform: None,
            bytes: None,
        }
    }

    #[test]
    fn the_same_object_twice_is_one_object() {
        let mut gathered = Gathered::new(10);
        let digest = Digest::of(b"a");
        assert_eq!(gathered.add(digest.clone(), found(Class::Layer, 1)), Ok(true));
        assert_eq!(gathered.add(digest.clone(), found(Class::Config, 1)), Ok(false));
        assert_eq!((gathered.objects().len(), gathered.bytes()), (1, 1));
    }

    #[test]
    fn an_object_with_two_sizes_or_two_kinds_is_refused() {
        let mut gathered = Gathered::new(10);
        let digest = Digest::of(b"a");
        gathered.add(digest.clone(), found(Class::Layer, 1)).unwrap();
        let sizes = gathered.add(digest.clone(), found(Class::Layer, 2)).unwrap_err();
        assert!(matches!(
            sizes,
            BadImage::ConflictingSizes { one: 1, other: 2, .. }
        ));
        let kinds = gathered
            .add(digest.clone(), found(Class::Manifest, 1))
            .unwrap_err();
        assert_eq!(kinds, BadImage::ConflictingKinds { digest });
    }

    #[test]
    fn a_set_that_does_not_fit_is_not_added_in_part() {
        let mut gathered = Gathered::new(3);
        gathered.add(Digest::of(b"a"), found(Class::Manifest, 1)).unwrap();
        let mut other = Gathered::new(9);
        for name in [b"b", b"c", b"d"] {
            other.add(Digest::of(name), found(Class::Layer, 1)).unwrap();
        }
        assert_eq!(
            gathered.take_over(other.clone()),
            Err(BadImage::TooManyObjects(3))
        );
        assert_eq!((gathered.objects().len(), gathered.bytes()), (1, 1));
        let mut roomy = Gathered::new(4);
        roomy.add(Digest::of(b"b"), found(Class::Layer, 1)).unwrap();
        roomy.take_over(other).unwrap();
        assert_eq!((roomy.objects().len(), roomy.bytes()), (3, 3));
    }

    #[test]
    fn notes_are_bounded_and_not_repeated() {
        let mut gathered = Gathered::new(1);
        for n in 0..1_000 {
            gathered.note(&format!("{n} {}", "x".repeat(10_000)));
            gathered.note("the same");
        }
        let notes = gathered.notes();
        assert_eq!(notes.len(), NOTES + 1);
        assert!(notes.iter().all(|note| note.len() <= NOTE_LETTERS));
        assert!(notes.last().unwrap().contains("981"), "{notes:?}");
    }

    #[test]
    fn count_and_sum_are_bounded() {
        let mut gathered = Gathered::new(1);
        let huge = gathered.add(Digest::of(b"h"), found(Class::Layer, u64::MAX));
        assert_eq!(huge, Err(BadImage::TooLarge));
        let mut gathered = Gathered::new(1);
        gathered.add(Digest::of(b"a"), found(Class::Layer, 0)).unwrap();
        let second = gathered.add(Digest::of(b"b"), found(Class::Layer, 0));
        assert_eq!(second, Err(BadImage::TooManyObjects(1)));
    }
}
