//! Referrers of a manifest: signatures, SBOMs, attestations. Read from a registry's referrers API, from the fallback
//! index, and from the tags that cosign pushes.
//!
//! **Invariant:** the result is bounded; an entry that cannot be a manifest is only counted.

use serde::Deserialize;

use crate::bad_manifest::BadManifest;
use crate::entry::RawEntries;
use crate::manifest::{Descriptor, read};
use crate::{Digest, Tag, strict};

/// The entries that are kept of a list; the rest is counted.
pub const REFERRERS_LIMIT: usize = 100;

/// The manifests that refer to another one, as the registry says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Referrers {
    pub listed: Vec<Descriptor>,
    /// Entries that cannot be manifests, and those beyond [`REFERRERS_LIMIT`].
    pub left_out: usize,
}

/// The list as registries send it. Go programs write an empty one as null.
#[derive(Deserialize)]
struct List {
    #[serde(default)]
    manifests: RawEntries,
}

impl Referrers {
    /// Parses a list, which may be longer than the index of an image.
    pub fn parse(bytes: &[u8]) -> Result<Self, BadManifest> {
        let mut all = Self::default();
        all.add(bytes)?;
        Ok(all)
    }

    pub(crate) fn add(&mut self, bytes: &[u8]) -> Result<(), BadManifest> {
        strict::check(bytes, strict::MANIFEST)?;
        let RawEntries { kept, count } = read::<List>(bytes)?.manifests;
        let manifests = kept.iter().filter_map(|entry| Descriptor::of_entry(entry).ok());
        let room = REFERRERS_LIMIT.saturating_sub(self.listed.len());
        let before = self.listed.len();
        self.listed
            .extend(manifests.filter(Descriptor::is_manifest).take(room));
        self.left_out += count.saturating_sub(self.listed.len() - before);
        Ok(())
    }

    pub(crate) fn is_full(&self) -> bool {
        self.left_out > 0 && self.listed.len() >= REFERRERS_LIMIT
    }
}

/// The digits of a digest in a fallback tag, by the distribution specification: a tag has at most 128 characters.
const FALLBACK_DIGITS: usize = 64;

/// Returns the tag of the fallback index at registries without a referrers API.
pub fn fallback_tag(subject: &Digest) -> Option<Tag> {
    let digits = subject.hex().get(..FALLBACK_DIGITS)?;
    format!("{}-{digits}", subject.algorithm().name()).parse().ok()
}

/// Returns the tags of cosign's signature, attestations and SBOM. There are none for a sha512 digest, which is longer
/// than a tag.
pub fn cosign_tags(subject: &Digest) -> Vec<Tag> {
    [".sig", ".att", ".sbom"]
        .iter()
        .filter_map(|ending| {
            let tag = format!("{}-{}{ending}", subject.algorithm().name(), subject.hex());
            tag.parse().ok()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::DigestAlgorithm;

    fn entry(number: usize, media_type: &str) -> Value {
        let digest = Digest::of(number.to_string().as_bytes());
        json!({"mediaType": media_type, "digest": digest, "size": 10, "artifactType": "application/spdx+json"})
    }

    fn list(entries: &[Value]) -> Vec<u8> {
        json!({"schemaVersion": 2, "manifests": entries})
            .to_string()
            .into_bytes()
    }

    const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

    #[test]
    fn a_long_list_is_cut_and_the_rest_is_counted() {
        let entries: Vec<Value> = (0..10_000).map(|number| entry(number, MANIFEST)).collect();
        let found = Referrers::parse(&list(&entries)).unwrap();
        assert_eq!(
            (found.listed.len(), found.left_out),
            (REFERRERS_LIMIT, 10_000 - REFERRERS_LIMIT)
        );
        assert!(found.is_full());
    }

    #[test]
    fn entries_that_cannot_be_manifests_are_left_out() {
        let mut climbing = entry(1, MANIFEST);
        climbing["digest"] = json!("sha256:../../x");
        let mut negative = entry(2, MANIFEST);
        negative["size"] = json!(-1);
        let found = Referrers::parse(&list(&[
            climbing,
            negative,
            entry(3, "text/html"),
            entry(4, MANIFEST),
        ]));
        let found = found.unwrap();
        assert_eq!((found.listed.len(), found.left_out), (1, 3));
        assert!(Referrers::parse(b"<html>").is_err());
    }

    #[test]
    fn an_empty_list_may_be_null() {
        for list in [json!(null), json!([])] {
            let document = json!({"schemaVersion": 2, "manifests": list}).to_string();
            assert_eq!(
                Referrers::parse(document.as_bytes()).unwrap(),
                Referrers::default()
            );
        }
        assert_eq!(Referrers::parse(b"{}").unwrap(), Referrers::default());
    }

    #[test]
    fn tags_are_those_of_the_specification_and_of_cosign() {
        let subject = Digest::of(b"x");
        let name = format!("sha256-{}", subject.hex());
        assert_eq!(fallback_tag(&subject).unwrap().to_string(), name);
        let tags: Vec<String> = cosign_tags(&subject).iter().map(ToString::to_string).collect();
        assert_eq!(
            tags,
            [
                format!("{name}.sig"),
                format!("{name}.att"),
                format!("{name}.sbom")
            ]
        );
        let longer = DigestAlgorithm::Sha512.digest(b"x");
        let name = format!("sha512-{}", &longer.hex()[..64]);
        assert_eq!(fallback_tag(&longer).unwrap().to_string(), name);
        assert_eq!(cosign_tags(&longer), []);
    }
}
