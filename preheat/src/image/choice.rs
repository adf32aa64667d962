//! Chooses the manifests of an index by their platforms. Pure.
//!
//! **Invariant:** a platform that a request names is in the image, or the preheat fails and lists the platforms that
//! are. An entry without a platform fits all. An unusable entry is needed if no usable one has its platform.

use std::collections::{BTreeSet, HashSet};

use oci::manifest::{IndexEntry, UnusableEntry};
use oci::{Digest, Platform};

/// The number of platforms that an error lists.
const LISTED: usize = 40;

/// The platforms that are wanted; empty: all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct WantedPlatforms {
    pub(crate) platforms: Vec<Platform>,
    /// The request names them, so the image has to have each of them. Else clusters want them, and the image may lack
    /// some.
    pub(crate) named: bool,
}

impl WantedPlatforms {
    pub(crate) fn everything() -> Self {
        Self::default()
    }

    fn is_everything(&self) -> bool {
        self.platforms.is_empty()
    }
}

/// Whether a preheat needs an unusable entry of an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// Without it, the image lacks something.
    Needed,
    /// Its absence is noted.
    Useful,
    Unwanted,
}

/// Chooses while manifests are read, and reports missing platforms at the end.
#[derive(Debug)]
pub(super) struct PlatformChoice<'a> {
    wanted: &'a WantedPlatforms,
    /// The platforms of the image, for people.
    there: BTreeSet<String>,
    /// The wanted platforms that the image has.
    met: BTreeSet<&'a Platform>,
    has_something_for_all: bool,
    has_chosen: bool,
}

impl<'a> PlatformChoice<'a> {
    pub(super) fn new(wanted: &'a WantedPlatforms) -> Self {
        Self {
            wanted,
            there: BTreeSet::new(),
            met: BTreeSet::new(),
            has_something_for_all: false,
            has_chosen: false,
        }
    }

    /// Returns the entries to read: those that match, their attestations, and those whose manifest names the platform.
    pub(super) fn of_index(&mut self, entries: Vec<IndexEntry>) -> Vec<IndexEntry> {
        if self.wanted.is_everything() {
            return entries;
        }
        self.has_chosen = true;
        let mut matching: HashSet<Digest> = HashSet::new();
        for entry in entries.iter().filter(|entry| entry.attests_to.is_none()) {
            let matches = entry
                .platform
                .as_ref()
                .is_none_or(|platform| self.is_for(platform));
            if matches {
                matching.insert(entry.descriptor.digest.clone());
            }
        }
        let is_wanted = |entry: &IndexEntry| match &entry.attests_to {
            Some(subject) => matching.contains(subject),
            None => matching.contains(&entry.descriptor.digest),
        };
        entries.into_iter().filter(is_wanted).collect()
    }

    /// Returns what the preheat lacks without this entry. Ask after the index's usable entries.
    pub(super) fn need(&mut self, entry: &UnusableEntry) -> Need {
        let Some(platform) = entry.platform.as_ref().filter(|_| !entry.is_attestation) else {
            let is_needed = self.wanted.is_everything() && !entry.is_attestation;
            return if is_needed { Need::Needed } else { Need::Useful };
        };
        self.there.insert(platform.to_string());
        let matching: Vec<&Platform> = self
            .wanted
            .platforms
            .iter()
            .filter(|wanted| wanted.matches(platform))
            .collect();
        if self.wanted.is_everything() || matching.iter().any(|wanted| !self.met.contains(wanted)) {
            Need::Needed
        } else if matching.is_empty() {
            Need::Unwanted
        } else {
            Need::Useful
        }
    }

    /// Returns whether the config of a manifest without a listed platform has to be read.
    pub(super) fn needs_platform(&self, is_root: bool) -> bool {
        !self.wanted.is_everything() && (!is_root || self.wanted.named)
    }

    /// Decides by the platform in a manifest's config; none means that it fits every platform.
    pub(super) fn wants_config(&mut self, platform: Option<&Platform>) -> bool {
        self.has_chosen = true;
        if let Some(platform) = platform {
            self.is_for(platform)
        } else {
            self.has_something_for_all = true;
            true
        }
    }

    fn is_for(&mut self, found: &Platform) -> bool {
        if found.os == "unknown" {
            return false;
        }
        self.there.insert(found.to_string());
        let matching: Vec<&Platform> = self
            .wanted
            .platforms
            .iter()
            .filter(|wanted| wanted.matches(found))
            .collect();
        let is_for_one = !matching.is_empty();
        self.met.extend(matching);
        is_for_one
    }

    /// Returns an error if a named platform is missing, or if the image has none of the wanted ones.
    pub(super) fn end(self) -> Result<(), MissingPlatforms> {
        let is_fine = !self.has_chosen
            || (self.there.is_empty() && self.has_something_for_all)
            || (!self.wanted.named && !self.met.is_empty());
        let missing: Vec<String> = self
            .wanted
            .platforms
            .iter()
            .filter(|platform| !self.met.contains(platform))
            .map(ToString::to_string)
            .collect();
        if is_fine || missing.is_empty() {
            return Ok(());
        }
        Err(MissingPlatforms {
            missing,
            there: self.there,
        })
    }
}

/// The image lacks wanted platforms.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the image has nothing for {}; it has {}", .missing.join(", "), listed(.there))]
pub(super) struct MissingPlatforms {
    missing: Vec<String>,
    there: BTreeSet<String>,
}

fn listed(there: &BTreeSet<String>) -> String {
    let first: Vec<&str> = there.iter().take(LISTED).map(String::as_str).collect();
    match there.len().checked_sub(LISTED) {
        _ if first.is_empty() => "nothing that names a platform".to_owned(),
        None | Some(0) => first.join(", "),
        Some(more) => format!("{} and {more} more", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use oci::manifest::Descriptor;

    use super::*;

    fn wanted(platforms: &[&str], named: bool) -> WantedPlatforms {
        WantedPlatforms {
            platforms: platforms.iter().map(|text| text.parse().unwrap()).collect(),
            named,
        }
    }

    fn entry(name: &str, platform: Option<&str>) -> IndexEntry {
        IndexEntry {
            descriptor: Descriptor {
                digest: Digest::of(name.as_bytes()),
                size: 1,
                media_type: oci::MANIFEST_ACCEPT[1].to_owned(),
                urls: Vec::new(),
                data: None,
            },
            platform: platform.map(|text| text.parse().unwrap()),
            attests_to: None,
        }
    }

    fn attestation(of: &str) -> IndexEntry {
        IndexEntry {
            attests_to: Some(Digest::of(of.as_bytes())),
            ..entry(&format!("attestation of {of}"), Some("unknown/unknown"))
        }
    }

    fn image() -> Vec<IndexEntry> {
        vec![
            entry("amd64", Some("linux/amd64")),
            entry("arm64", Some("linux/arm64/v8")),
            entry("windows", Some("windows/amd64")),
            attestation("amd64"),
            attestation("arm64"),
        ]
    }

    /// Returns how many entries are taken, and the final result.
    fn choose(wanted: &WantedPlatforms, entries: Vec<IndexEntry>) -> (usize, Result<(), MissingPlatforms>) {
        let mut choice = PlatformChoice::new(wanted);
        let taken = choice.of_index(entries).len();
        (taken, choice.end())
    }

    #[test]
    fn attestations_come_with_the_platforms_that_they_are_about() {
        assert_eq!(choose(&wanted(&["linux/amd64"], true), image()), (2, Ok(())));
        assert_eq!(
            choose(&wanted(&["linux/arm64", "linux/amd64"], true), image()),
            (4, Ok(()))
        );
        assert_eq!(choose(&wanted(&["windows/amd64"], true), image()), (1, Ok(())));
        assert_eq!(choose(&WantedPlatforms::everything(), image()), (5, Ok(())));
    }

    #[test]
    fn each_named_platform_has_to_be_in_the_image() {
        let (_, end) = choose(&wanted(&["linux/amd64", "linux/s390x"], true), image());
        insta::assert_snapshot!(end.unwrap_err(), @"the image has nothing for linux/s390x; it has linux/amd64, linux/arm64/v8, windows/amd64");
    }

    #[test]
    fn platforms_that_clusters_want_are_taken_if_the_image_has_them() {
        assert_eq!(
            choose(&wanted(&["linux/amd64", "linux/s390x"], false), image()),
            (2, Ok(()))
        );
        let (_, end) = choose(&wanted(&["linux/s390x"], false), image());
        assert_eq!(end.unwrap_err().missing, ["linux/s390x"]);
    }

    #[test]
    fn an_empty_index_lacks_the_wanted_platforms() {
        for named in [true, false] {
            let (_, end) = choose(&wanted(&["linux/amd64"], named), Vec::new());
            let missing = end.unwrap_err();
            assert_eq!(missing.missing, ["linux/amd64"]);
            assert!(missing.there.is_empty());
        }
    }

    #[test]
    fn an_entry_without_a_platform_fits_all() {
        let wanted = wanted(&["linux/amd64"], true);
        let mut choice = PlatformChoice::new(&wanted);
        assert_eq!(choice.of_index(vec![entry("chart", None)]).len(), 1);
        assert!(choice.wants_config(None));
        assert_eq!(choice.end(), Ok(()));
    }

    fn unusable(platform: Option<&str>) -> UnusableEntry {
        UnusableEntry {
            number: 1,
            fault: oci::manifest::EntryFault::NoDigest,
            platform: platform.map(|text| text.parse().unwrap()),
            is_attestation: false,
        }
    }

    #[test]
    fn an_unusable_entry_is_needed_only_for_a_wanted_platform_that_no_other_entry_has() {
        let need = |wanted: &WantedPlatforms, entry: &UnusableEntry| {
            let mut choice = PlatformChoice::new(wanted);
            choice.of_index(image());
            choice.need(entry)
        };
        let (amd64, s390x) = (unusable(Some("linux/amd64")), unusable(Some("linux/s390x")));
        let everything = WantedPlatforms::everything();
        let (wants_amd64, wants_s390x) = (wanted(&["linux/amd64"], true), wanted(&["linux/s390x"], true));
        let attestation = UnusableEntry {
            is_attestation: true,
            ..amd64.clone()
        };
        for (wanted, entry, expected) in [
            (&everything, &amd64, Need::Needed),
            (&everything, &unusable(None), Need::Needed),
            (&everything, &attestation, Need::Useful),
            (&wants_amd64, &amd64, Need::Useful),
            (&wants_amd64, &unusable(None), Need::Useful),
            (&wants_amd64, &s390x, Need::Unwanted),
            (&wants_s390x, &s390x, Need::Needed),
        ] {
            assert_eq!(need(wanted, entry), expected, "{entry:?}");
        }
    }

    #[test]
    fn a_hostile_number_of_platforms_is_not_repeated() {
        let entries = (0..900)
            .map(|n| entry(&n.to_string(), Some(&format!("linux/odd{n}"))))
            .collect();
        let (_, end) = choose(&wanted(&["linux/amd64"], true), entries);
        let text = end.unwrap_err().to_string();
        assert!(text.len() < 1_000 && text.contains(" 860 "), "{text}");
    }
}
