//! Reads the entries of manifests and indexes, whatever their values are.
//!
//! **Invariant:** no value of an entry makes the whole document unreadable; an unusable entry carries the reason. The
//! number of entries in memory is bounded, and no reason repeats a value of the document.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::bad_manifest::{ENTRIES_LIMIT, EntryFault};
use crate::text::tame;
use crate::{Digest, Platform};

/// URLs of one entry that are kept.
const URLS_LIMIT: usize = 16;

/// The annotations that mark an attestation and name its manifest.
const REFERENCE_TYPE: &str = "vnd.docker.reference.type";
const REFERENCE_DIGEST: &str = "vnd.docker.reference.digest";

/// Entries as they are written. The ones beyond [`ENTRIES_LIMIT`] are only counted.
#[derive(Debug, Default)]
pub(crate) struct RawEntries {
    pub(crate) kept: Vec<RawEntry>,
    pub(crate) count: usize,
}

/// One entry as it is written. A field with a value of another type counts as absent or invalid.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct RawEntry {
    #[serde(deserialize_with = "lenient")]
    media_type: Option<String>,
    #[serde(deserialize_with = "lenient")]
    digest: Option<String>,
    #[serde(deserialize_with = "lenient")]
    size: RawSize,
    #[serde(deserialize_with = "lenient")]
    urls: RawUrls,
    #[serde(deserialize_with = "lenient")]
    data: Option<String>,
    #[serde(deserialize_with = "lenient")]
    platform: RawPlatform,
    #[serde(deserialize_with = "lenient")]
    annotations: RawAnnotations,
}

#[derive(Debug, Default, Clone, Copy)]
enum RawSize {
    #[default]
    Absent,
    Known(u64),
    Invalid,
}

#[derive(Debug, Default)]
struct RawUrls {
    listed: Vec<String>,
    is_invalid: bool,
}

#[derive(Debug, Default)]
struct RawPlatform(PlatformFields);

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PlatformFields {
    #[serde(deserialize_with = "lenient")]
    os: Option<String>,
    #[serde(deserialize_with = "lenient")]
    architecture: Option<String>,
    #[serde(deserialize_with = "lenient")]
    variant: Option<String>,
}

#[derive(Debug, Default)]
struct RawAnnotations {
    has_reference_type: bool,
    reference: Option<String>,
}

impl RawEntry {
    /// Go writes an entry without a value as one with empty fields.
    pub(crate) fn is_empty(&self) -> bool {
        self.digest.as_deref().unwrap_or_default().is_empty()
            && self.media_type.as_deref().unwrap_or_default().is_empty()
    }

    pub(crate) fn digest(&self) -> Result<Digest, EntryFault> {
        let text = self.digest.as_deref().unwrap_or_default();
        text.parse().map_err(|_| EntryFault::of_digest(text))
    }

    /// Returns the size; a size of 0 in an entry of an index counts as unknown, as in Go programs.
    pub(crate) fn size(&self) -> Result<Option<u64>, EntryFault> {
        match self.size {
            RawSize::Absent => Ok(None),
            RawSize::Known(size) => Ok(Some(size)),
            RawSize::Invalid => Err(EntryFault::BadSize),
        }
    }

    pub(crate) fn media_type(&self) -> String {
        tame(self.media_type.as_deref().unwrap_or_default(), 255)
    }

    pub(crate) fn urls(&self) -> Result<Vec<String>, EntryFault> {
        if self.urls.is_invalid {
            return Err(EntryFault::BadUrls);
        }
        Ok(self.urls.listed.clone())
    }

    pub(crate) fn data(&self) -> Option<&str> {
        self.data.as_deref()
    }

    /// Returns the platform; a missing half is empty. `None` if both are missing.
    pub(crate) fn platform(&self) -> Option<Platform> {
        let PlatformFields {
            os,
            architecture,
            variant,
        } = &self.platform.0;
        let text = |text: &Option<String>| tame(text.as_deref().unwrap_or_default().trim(), 64);
        let (os, architecture) = (text(os), text(architecture));
        if os.is_empty() && architecture.is_empty() {
            return None;
        }
        Some(Platform::new(&os, &architecture, Some(&text(variant))))
    }

    pub(crate) fn is_attestation(&self) -> bool {
        self.annotations.has_reference_type
    }

    /// Returns the manifest of the same index that this one is an attestation for, as `BuildKit` writes it.
    pub(crate) fn attests_to(&self) -> Option<Digest> {
        let annotations = Some(&self.annotations).filter(|all| all.has_reference_type)?;
        annotations.reference.as_deref()?.parse().ok()
    }
}

/// A type that any JSON value can be read into. Values of other types are skipped without being kept.
trait Lenient: Default {
    fn of_text(_: &str) -> Self {
        Self::default()
    }

    fn of_number(_: Option<u64>) -> Self {
        Self::default()
    }

    fn of_map<'de, A: MapAccess<'de>>(map: A) -> Result<Self, A::Error> {
        IgnoredAny.visit_map(map).map(|_| Self::default())
    }

    fn of_list<'de, A: SeqAccess<'de>>(list: A) -> Result<Self, A::Error> {
        IgnoredAny.visit_seq(list).map(|_| Self::default())
    }
}

impl Lenient for Option<String> {
    fn of_text(text: &str) -> Self {
        Some(text.to_owned())
    }
}

impl Lenient for RawSize {
    fn of_text(_: &str) -> Self {
        Self::Invalid
    }

    fn of_number(number: Option<u64>) -> Self {
        number.map_or(Self::Invalid, Self::Known)
    }
}

impl Lenient for RawUrls {
    fn of_text(_: &str) -> Self {
        Self {
            is_invalid: true,
            ..Self::default()
        }
    }

    fn of_list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        let mut urls = Self::default();
        while let Some(url) = list.next_element::<Any<Option<String>>>()? {
            match url.0 {
                Some(url) if urls.listed.len() < URLS_LIMIT => urls.listed.push(url),
                Some(_) => {}
                None => urls.is_invalid = true,
            }
        }
        Ok(urls)
    }

    fn of_map<'de, A: MapAccess<'de>>(map: A) -> Result<Self, A::Error> {
        IgnoredAny.visit_map(map).map(|_| Self::of_text(""))
    }

    fn of_number(_: Option<u64>) -> Self {
        Self::of_text("")
    }
}

impl Lenient for RawPlatform {
    fn of_map<'de, A: MapAccess<'de>>(map: A) -> Result<Self, A::Error> {
        let fields = PlatformFields::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
        Ok(Self(fields))
    }
}

impl Lenient for RawAnnotations {
    fn of_map<'de, A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        let mut annotations = Self::default();
        while let Some(key) = map.next_key::<String>()? {
            let text = map.next_value::<Any<Option<String>>>()?.0;
            match key.as_str() {
                REFERENCE_TYPE => annotations.has_reference_type = text.is_some(),
                REFERENCE_DIGEST => annotations.reference = text,
                _ => {}
            }
        }
        Ok(annotations)
    }
}

impl Lenient for RawEntry {
    fn of_map<'de, A: MapAccess<'de>>(map: A) -> Result<Self, A::Error> {
        Self::deserialize(serde::de::value::MapAccessDeserializer::new(map))
    }
}

/// Any value, as an item of a list or a map.
struct Any<T>(T);

impl<'de, T: Lenient> Deserialize<'de> for Any<T> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        lenient(reader).map(Self)
    }
}

fn lenient<'de, D: Deserializer<'de>, T: Lenient>(reader: D) -> Result<T, D::Error> {
    reader.deserialize_any(LenientVisitor(PhantomData))
}

struct LenientVisitor<T>(PhantomData<T>);

impl<'de, T: Lenient> Visitor<'de> for LenientVisitor<T> {
    type Value = T;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("any value")
    }

    fn visit_unit<E: Error>(self) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<T, E> {
        Ok(T::of_number(None))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        Ok(T::of_number(i64::try_from(number).ok().and(Some(number))))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        Ok(T::of_number(u64::try_from(number).ok()))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<T, E> {
        Ok(T::of_number(None))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        Ok(T::of_text(text))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::of_map(map)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<T, A::Error> {
        T::of_list(list)
    }
}

/// Reads an entry that may be null. Any value but an object counts as null.
pub(crate) fn one<'de, D: Deserializer<'de>>(reader: D) -> Result<Option<RawEntry>, D::Error> {
    let entry: RawEntry = lenient(reader)?;
    Ok(Some(entry).filter(|entry| !entry.is_empty()))
}

/// Reads a list. Null is an empty one; any other value is an error.
impl<'de> Deserialize<'de> for RawEntries {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        Option::<RawList>::deserialize(reader).map(|list| list.unwrap_or_default().0)
    }
}

#[derive(Default)]
struct RawList(RawEntries);

impl<'de> Deserialize<'de> for RawList {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        reader.deserialize_seq(ListVisitor)
    }
}

struct ListVisitor;

impl<'de> Visitor<'de> for ListVisitor {
    type Value = RawList;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<RawList, A::Error> {
        let mut entries = RawEntries::default();
        loop {
            if entries.kept.len() < ENTRIES_LIMIT {
                match list.next_element::<Any<RawEntry>>()? {
                    Some(Any(entry)) => entries.kept.push(entry),
                    None => break,
                }
            } else if list.next_element::<IgnoredAny>()?.is_none() {
                break;
            }
            entries.count += 1;
        }
        Ok(RawList(entries))
    }
}
