//! Refuses JSON documents that two parsers could understand differently.
//!
//! Registries written in Go treat keys that differ only in case as equal, and the last one wins. We compare keys
//! exactly. So `{"layers":[a],"Layers":[b]}` would be one image for the registry and another one for us.
//!
//! **Invariant:** in a document that [`check`] accepts, no object with fixed fields has a duplicate key, a key that
//! differs from a known one only in case, or a list in its place. Free maps (annotations, labels) are not checked.

use std::collections::HashSet;
use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::bad_manifest::BadManifest;
use crate::text::tame;

/// Characters of a key that an error repeats.
const KEY_LIMIT: usize = 60;

/// The expected shape of a value.
#[derive(Clone, Copy)]
pub(crate) enum Shape {
    /// Any value; not checked.
    Free,
    Object(Fields),
    ListOf(Fields),
}

/// The known keys of an object with fixed fields, all in ASCII.
pub(crate) type Fields = &'static [(&'static str, Shape)];

const PLATFORM: Fields = &[
    ("architecture", Shape::Free),
    ("os", Shape::Free),
    ("os.version", Shape::Free),
    ("os.features", Shape::Free),
    ("variant", Shape::Free),
    ("features", Shape::Free),
];

const DESCRIPTOR: Fields = &[
    ("mediaType", Shape::Free),
    ("digest", Shape::Free),
    ("size", Shape::Free),
    ("urls", Shape::Free),
    ("annotations", Shape::Free),
    ("data", Shape::Free),
    ("artifactType", Shape::Free),
    ("platform", Shape::Object(PLATFORM)),
];

/// Images, indexes, Docker's schema 2 and list, and artifact manifests together: a key distinguishes them, so that key
/// must not be ambiguous either.
pub(crate) const MANIFEST: Fields = &[
    ("schemaVersion", Shape::Free),
    ("mediaType", Shape::Free),
    ("artifactType", Shape::Free),
    ("config", Shape::Object(DESCRIPTOR)),
    ("layers", Shape::ListOf(DESCRIPTOR)),
    ("manifests", Shape::ListOf(DESCRIPTOR)),
    ("blobs", Shape::ListOf(DESCRIPTOR)),
    ("subject", Shape::Object(DESCRIPTOR)),
    ("annotations", Shape::Free),
];

/// The fields of an image's config that name its platform.
pub(crate) const IMAGE_CONFIG: Fields = PLATFORM;

/// Checks the keys of a document.
pub(crate) fn check(bytes: &[u8], fields: Fields) -> Result<(), BadManifest> {
    let mut fault = None;
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = ShapedValue {
        shape: Shape::Object(fields),
        fault: &mut fault,
    };
    let read = value.deserialize(&mut reader).and_then(|()| reader.end());
    match (read, fault) {
        (_, Some(fault)) => Err(fault),
        (Err(cause), None) => Err(BadManifest::unreadable(&cause)),
        (Ok(()), None) => Ok(()),
    }
}

/// Checks a value against a shape. `fault` keeps the error that serde's error type cannot carry.
struct ShapedValue<'fault> {
    shape: Shape,
    fault: &'fault mut Option<BadManifest>,
}

impl<'de> DeserializeSeed<'de> for ShapedValue<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        match self.shape {
            // serde_json skips values without recursion, so depth is harmless here.
            Shape::Free => reader.deserialize_ignored_any(IgnoredAny).map(drop),
            Shape::Object(_) | Shape::ListOf(_) => reader.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for ShapedValue<'_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a value of a manifest")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Shape::Object(fields) = self.shape else {
            return IgnoredAny.visit_map(map).map(drop);
        };
        let mut seen = Seen::new(fields);
        while let Some(key) = map.next_key::<String>()? {
            let shape = match seen.shape_of(key) {
                Ok(shape) => shape,
                Err(fault) => return Err(refuse(self.fault, fault)),
            };
            map.next_value_seed(ShapedValue {
                shape,
                fault: &mut *self.fault,
            })?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Shape::ListOf(fields) = self.shape else {
            // serde would read the items as the object's fields, in the order of our declaration.
            return Err(refuse(self.fault, BadManifest::ListForObject));
        };
        let shape = Shape::Object(fields);
        while list
            .next_element_seed(ShapedValue {
                shape,
                fault: &mut *self.fault,
            })?
            .is_some()
        {}
        Ok(())
    }

    // The later deserialization checks other kinds of values.
    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
}

fn refuse<E: Error>(kept: &mut Option<BadManifest>, fault: BadManifest) -> E {
    let error = E::custom(&fault);
    *kept = Some(fault);
    error
}

/// The keys seen so far in one object.
struct Seen {
    fields: Fields,
    known: Vec<bool>,
    others: HashSet<String>,
}

impl Seen {
    fn new(fields: Fields) -> Self {
        Self {
            fields,
            known: vec![false; fields.len()],
            others: HashSet::new(),
        }
    }

    /// Returns the expected shape of the next key's value.
    fn shape_of(&mut self, key: String) -> Result<Shape, BadManifest> {
        let at = self.fields.iter().position(|(known, _)| folds_to(&key, known));
        let Some((known, shape, seen)) = at.and_then(|at| {
            let (known, shape) = self.fields.get(at)?;
            Some((*known, *shape, self.known.get_mut(at)?))
        }) else {
            return match self.others.replace(key) {
                Some(key) => Err(twice(&key)),
                None => Ok(Shape::Free),
            };
        };
        if key != known {
            let found = tame(&key, KEY_LIMIT);
            return Err(BadManifest::FoldedKey { found, known });
        }
        if std::mem::replace(seen, true) {
            return Err(twice(known));
        }
        Ok(shape)
    }
}

fn twice(key: &str) -> BadManifest {
    BadManifest::KeyTwice {
        key: tame(key, KEY_LIMIT),
    }
}

/// Whether Go's encoding/json treats `found` as the ASCII key `known`: equal under Unicode's simple case folding. Beside
/// ASCII letters only two characters fold to ASCII.
fn folds_to(found: &str, known: &str) -> bool {
    let folded = found.chars().map(|letter| match letter {
        '\u{212a}' => 'k',
        '\u{17f}' => 's',
        other => other.to_ascii_lowercase(),
    });
    folded.eq(known.chars().map(|letter| letter.to_ascii_lowercase()))
}

#[cfg(test)]
#[path = "strict_tests.rs"]
mod tests;
