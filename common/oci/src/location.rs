//! Locations of repositories: scheme, registry, the path above `/v2/`, and the repository's name.
//!
//! **Invariant:** the text of a [`Location`] parses to the same location, and two locations never share a text.
//! Grants, tag meanings and deliveries are facts about one location.

use std::fmt;
use std::str::FromStr;

use crate::serde_text::serde_as_text;
use crate::{RegistryName, Repository};

const API: &str = "/v2/";
const LONGEST_BASE_PATH: usize = 255;

/// How a registry is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    Https,
    Http,
}

/// The path above a registry's `/v2/`: empty, or `/registry`. No part of it is `v2`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BasePath(Box<str>);

/// Where a registry's API is. The same host may serve other registries under other paths, or something else over
/// plain HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    pub scheme: Scheme,
    pub registry: RegistryName,
    pub base_path: BasePath,
}

/// One repository of one registry, as `https://harbor.example.com/v2/library/nginx`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Location {
    pub origin: Origin,
    pub repository: Repository,
}

/// A text that is not a location.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{given:?} is not a location: write scheme, registry, /v2/ and repository, for example https://harbor.example.com/v2/library/nginx"
)]
pub struct BadLocation {
    given: String,
}

impl Scheme {
    pub fn of(plain_http: bool) -> Self {
        if plain_http { Self::Http } else { Self::Https }
    }

    pub fn is_plain(self) -> bool {
        self == Self::Http
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Http => "http",
        }
    }
}

impl BasePath {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for BasePath {
    type Err = BadLocation;

    fn from_str(text: &str) -> Result<Self, BadLocation> {
        if !is_base_path(text) || text.split('/').any(|part| part == "v2") {
            return Err(BadLocation::new(text));
        }
        Ok(Self(text.into()))
    }
}

/// Whether a path is empty or consists of plain, named folders.
pub(crate) fn is_base_path(path: &str) -> bool {
    let is_part = |part: &str| {
        !matches!(part, "" | "." | "..")
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'~' | b'-'))
    };
    let is_good = match path.strip_prefix('/') {
        Some(parts) => parts.split('/').all(is_part),
        None => path.is_empty(),
    };
    is_good && path.len() <= LONGEST_BASE_PATH
}

impl Origin {
    /// A registry with `/v2/` at the root of its host.
    pub fn of(registry: RegistryName, scheme: Scheme) -> Self {
        Self {
            scheme,
            registry,
            base_path: BasePath::default(),
        }
    }

    pub fn at(self, repository: Repository) -> Location {
        Location {
            origin: self,
            repository,
        }
    }
}

impl Location {
    pub fn registry(&self) -> &RegistryName {
        &self.origin.registry
    }
}

impl BadLocation {
    fn new(given: &str) -> Self {
        Self {
            given: crate::text::tame(given, 200),
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}://{}{}", self.scheme, self.registry, self.base_path.0)
    }
}

impl fmt::Display for Location {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}{API}{}", self.origin, self.repository)
    }
}

impl FromStr for Origin {
    type Err = BadLocation;

    fn from_str(text: &str) -> Result<Self, BadLocation> {
        let bad = || BadLocation::new(text);
        let (scheme, rest) = text.split_once("://").ok_or_else(bad)?;
        let scheme = match scheme {
            "https" => Scheme::Https,
            "http" => Scheme::Http,
            _ => return Err(bad()),
        };
        let (host, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        Ok(Self {
            scheme,
            registry: RegistryName::parse(host, scheme.is_plain()).map_err(|_| bad())?,
            base_path: path.parse()?,
        })
    }
}

impl FromStr for Location {
    type Err = BadLocation;

    fn from_str(text: &str) -> Result<Self, BadLocation> {
        let bad = || BadLocation::new(text);
        // A base path has no part `v2`, so the first one ends it.
        let (origin, repository) = text.split_once(API).ok_or_else(bad)?;
        Ok(Self {
            origin: origin.parse()?,
            repository: repository.parse().map_err(|_| bad())?,
        })
    }
}

serde_as_text!(Location);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_location_is_written_as_its_url() {
        let text = "http://reg.lan:5000/registry/v2/team-a/app";
        let location: Location = text.parse().expect("a location");
        assert_eq!(location.origin.scheme, Scheme::Http);
        assert_eq!(location.registry().as_str(), "reg.lan:5000");
        assert_eq!(location.origin.base_path.as_str(), "/registry");
        assert_eq!(location.repository.as_str(), "team-a/app");
        assert_eq!(location.to_string(), text);
    }

    #[test]
    fn ambiguous_text_is_not_a_location() {
        for bad in [
            "",
            "reg.lan/v2/a",
            "ftp://reg.lan/v2/a",
            "HTTPS://reg.lan/v2/a",
            "https://reg.lan/a",
            "https://reg.lan/v2/",
            "https://reg.lan/../v2/a",
            "https://reg.lan//v2/a",
            "https://user@reg.lan/v2/a",
            "https://reg.lan?x/v2/a",
            "https://reg.lan/a%2fb/v2/c",
            "https:///v2/a",
        ] {
            assert!(bad.parse::<Location>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_repository_part_v2_is_not_read_as_a_base_path() {
        let project: Location = "https://reg.lan/v2/v2/app".parse().expect("a location");
        assert_eq!(project.repository.as_str(), "v2/app");
        assert!("/v2".parse::<BasePath>().is_err());
        assert!("/a/v2/b".parse::<BasePath>().is_err());
    }

    fn location() -> impl Strategy<Value = Location> {
        let host = prop_oneof![
            "[a-z]{1,8}(\\.[a-z]{1,4})?(:[1-9][0-9]{0,3})?",
            Just("docker.io".to_owned())
        ];
        let path = "(/[a-zA-Z0-9._~-]{1,4}){0,2}";
        let repository = "(v2|[a-z0-9]{1,4})(/(v2|[a-z0-9]{1,4})){0,2}";
        (any::<bool>(), host, path, repository).prop_filter_map("no location", |parts| {
            let (plain, host, path, repository) = parts;
            let origin = Origin {
                scheme: Scheme::of(plain),
                registry: RegistryName::parse(&host, plain).ok()?,
                base_path: path.parse().ok()?,
            };
            Some(origin.at(repository.parse().ok()?))
        })
    }

    proptest! {
        #[test]
        fn a_location_is_read_back_as_it_was_written(location in location()) {
            prop_assert_eq!(location.to_string().parse::<Location>(), Ok(location.clone()));
            prop_assert_eq!(location.origin.to_string().parse::<Origin>(), Ok(location.origin));
        }

        #[test]
        fn two_locations_never_share_a_text(one in location(), other in location()) {
            prop_assert_eq!(one.to_string() == other.to_string(), one == other);
        }
    }
}
