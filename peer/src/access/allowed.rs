//! Which registry a request names, and whether this peer may dial it for a caller.
//!
//! **Invariant:** only [`AllowedRegistries`] makes an [`AllowedLocation`]: its registry is configured, was named by a
//! preheat, or matches an `allow` list. No caller can make this peer dial another registry.

use http::{HeaderMap, HeaderValue};
use oci::{BasePath, Location, Origin, RegistryName, Repository, Scheme};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

use crate::neighbours::Neighbours;

pub(crate) const REGISTRY_HEADER: &str = "x-dragonfly-registry";
/// What `ns` decided, in responses of the distribution specification. Read in requests too.
pub(crate) const NAMESPACE_HEADER: &str = "oci-namespace";
const NAMESPACE: &str = "ns";

/// A registry as a caller wrote it, before any check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamedRegistry {
    pub(crate) registry: RegistryName,
    /// None: containerd's `ns` has no scheme.
    pub(crate) scheme: Option<Scheme>,
    pub(crate) base_path: BasePath,
}

impl NamedRegistry {
    fn without_scheme(registry: RegistryName) -> Self {
        Self {
            registry,
            scheme: None,
            base_path: BasePath::default(),
        }
    }
}

/// A location that may be dialled for a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AllowedLocation {
    location: Location,
    /// Only a preheat has named plain HTTP, the caller has not: the caller's password must not be sent over it.
    hides_passwords: bool,
}

impl AllowedLocation {
    pub(crate) fn location(&self) -> &Location {
        &self.location
    }

    pub(crate) fn hides_passwords(&self) -> bool {
        self.hides_passwords
    }
}

/// Why a request leads to no registry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RegistryChoiceError {
    #[error(
        "the request names no registry: in hosts.toml, write the mirror as [host.\"http://127.0.0.1:65001\"], so that containerd adds ns=<registry>, or add the header X-Dragonfly-Registry = \"https://<registry>\"; for podman and CRI-O, write location = \"127.0.0.1:65001/<registry>\" in registries.conf"
    )]
    NotNamed,
    #[error("X-Dragonfly-Registry or ns is not a registry: write https://host[:port] or host[:port]")]
    Unreadable,
    #[error(
        "registry {0} is not allowed for callers: configure [registry.\"{0}\"], preheat an image of it, or add it to allow in [dial]"
    )]
    NotAllowed(RegistryName),
}

/// The registries that may be dialled for a caller.
pub(crate) struct AllowedRegistries {
    neighbours: Neighbours,
    /// Of this peer's own configuration.
    patterns: Vec<String>,
}

impl AllowedRegistries {
    pub(super) fn new(neighbours: Neighbours, patterns: Vec<String>) -> Self {
        Self { neighbours, patterns }
    }

    /// Returns the location that a request means, if it may be dialled. `by_path` is the registry in the request's path.
    pub(crate) fn choose(
        &self,
        by_path: Option<RegistryName>,
        repository: Repository,
        query: Option<&str>,
        headers: &HeaderMap,
    ) -> Result<AllowedLocation, RegistryChoiceError> {
        let named = match by_path {
            Some(registry) => NamedRegistry::without_scheme(registry),
            None => named(query, headers)?,
        };
        let (origin, seen_plain) = self.origin(named);
        let mut allowed = self.allow(&origin.at(repository))?;
        allowed.hides_passwords = seen_plain;
        Ok(allowed)
    }

    /// Returns the query that names the registry of this request to our token path, if it may be dialled.
    pub(crate) fn token_query(&self, query: Option<&str>, headers: &HeaderMap) -> Option<String> {
        let named = named(query, headers).ok()?;
        let (has_scheme, registry) = (named.scheme.is_some(), named.registry.to_string());
        let origin = self
            .neighbours
            .registries()
            .canonical_origin(&self.origin(named).0);
        // Without a scheme, each use decides it anew, and whether a password may be sent.
        let (key, value) = if has_scheme {
            ("registry", origin.to_string())
        } else {
            (NAMESPACE, registry)
        };
        let encoded = utf8_percent_encode(&value, NON_ALPHANUMERIC);
        self.contains(&origin).then(|| format!("{key}={encoded}"))
    }

    /// Returns the origin, and whether only a preheat has named its plain HTTP.
    fn origin(&self, named: NamedRegistry) -> (Origin, bool) {
        let canonical = self.neighbours.registries().canonical(&named.registry);
        let seen_plain = named.scheme.is_none() && self.neighbours.seen_by_plain_http_only(&canonical);
        let origin = Origin {
            scheme: named.scheme.unwrap_or(Scheme::of(seen_plain)),
            registry: named.registry,
            base_path: named.base_path,
        };
        (origin, seen_plain)
    }

    /// Returns the location under its registry's canonical name and configured scheme, if it may be dialled.
    pub(crate) fn allow(&self, location: &Location) -> Result<AllowedLocation, RegistryChoiceError> {
        let origin = self.neighbours.registries().canonical_origin(&location.origin);
        if !self.contains(&origin) {
            return Err(RegistryChoiceError::NotAllowed(origin.registry));
        }
        Ok(AllowedLocation {
            location: origin.at(location.repository.clone()),
            hides_passwords: false,
        })
    }

    pub(super) fn contains(&self, origin: &Origin) -> bool {
        let matches = |pattern: &String| oci::is_named_by(&origin.registry, pattern);
        self.neighbours.may_dial(&origin.registry) || self.patterns.iter().any(matches)
    }
}

/// Returns whether the query or a header names a registry.
pub(crate) fn is_named(query: Option<&str>, headers: &HeaderMap) -> bool {
    named(query, headers) != Err(RegistryChoiceError::NotNamed)
}

/// Returns the registry that a request names.
fn named(query: Option<&str>, headers: &HeaderMap) -> Result<NamedRegistry, RegistryChoiceError> {
    if let Some(header) = headers.get(REGISTRY_HEADER) {
        let text = header.to_str().map_err(|_| RegistryChoiceError::Unreadable)?;
        return from_header(text.trim()).ok_or(RegistryChoiceError::Unreadable);
    }
    let namespace = namespace(query, headers).ok_or(RegistryChoiceError::NotNamed)?;
    let registry = namespace.parse().map_err(|_| RegistryChoiceError::Unreadable)?;
    Ok(NamedRegistry::without_scheme(registry))
}

/// Returns the registry in `ns`, or in the header that the specification names for it.
fn namespace(query: Option<&str>, headers: &HeaderMap) -> Option<String> {
    let mut pairs = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    if let Some((_, value)) = pairs.find(|(key, _)| key == NAMESPACE) {
        return Some(value.into_owned());
    }
    let header = headers.get(NAMESPACE_HEADER)?;
    Some(String::from_utf8_lossy(header.as_bytes()).trim().to_owned())
}

/// Returns the `ns` that decided the registry of a request, for the response's `OCI-Namespace`.
pub(crate) fn used_namespace(query: Option<&str>, headers: &HeaderMap) -> Option<HeaderValue> {
    if headers.contains_key(REGISTRY_HEADER) {
        return None;
    }
    let namespace = namespace(query, headers)?;
    namespace.parse::<RegistryName>().ok()?;
    HeaderValue::from_str(&namespace).ok()
}

fn from_header(text: &str) -> Option<NamedRegistry> {
    let with_scheme = if text.contains("://") {
        text.to_owned()
    } else {
        format!("https://{text}")
    };
    let url = Url::parse(&with_scheme).ok()?;
    let scheme = match url.scheme() {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        _ => return None,
    };
    let hides_something = !url.username().is_empty() || url.password().is_some() || url.query().is_some();
    if hides_something || url.fragment().is_some() {
        return None;
    }
    let host = url.host_str()?;
    let name = url
        .port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let path = url.path().trim_end_matches('/');
    Some(NamedRegistry {
        registry: RegistryName::parse(&name, scheme.is_plain()).ok()?,
        scheme: Some(scheme),
        base_path: path.strip_suffix("/v2").unwrap_or(path).parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(REGISTRY_HEADER, value.parse().expect("a header"));
        headers
    }

    #[test]
    fn the_namespace_is_decoded() {
        let origin = named(Some("x=1&ns=127.0.0.1%3A5912"), &HeaderMap::new()).expect("named");
        assert_eq!(origin.registry.as_str(), "127.0.0.1:5912");
        let hub = named(Some("ns=docker.io"), &HeaderMap::new()).expect("named");
        assert_eq!(hub.registry.as_str(), "docker.io");
        assert_eq!(hub.scheme, None);
    }

    #[test]
    fn the_header_carries_scheme_and_path() {
        let origin = named(None, &headers("http://Reg.lan:5000/team/v2/")).expect("named");
        assert_eq!(origin.registry.as_str(), "reg.lan:5000");
        assert_eq!(origin.base_path.as_str(), "/team");
        assert_eq!(origin.scheme, Some(Scheme::Http));
        let secure = named(None, &headers("https://reg.lan")).expect("named");
        assert_eq!(secure.scheme, Some(Scheme::Https));
    }

    #[test]
    fn the_header_wins_over_the_namespace() {
        let origin = named(Some("ns=other.lan"), &headers("https://reg.lan")).expect("named");
        assert_eq!(origin.registry.as_str(), "reg.lan");
    }

    #[test]
    fn a_header_that_hides_another_host_is_refused() {
        for bad in [
            "https://user@reg.lan",
            "https://reg.lan?x",
            "https://reg.lan#x",
            "ftp://reg.lan",
            "file:///etc/passwd",
            "https://reg.lan/a%2f..",
            "https://reg.lan/v2/x",
            "",
            "https://",
        ] {
            assert_eq!(
                named(None, &headers(bad)),
                Err(RegistryChoiceError::Unreadable),
                "{bad}"
            );
        }
        assert_eq!(named(None, &HeaderMap::new()), Err(RegistryChoiceError::NotNamed));
        assert_eq!(
            named(Some("ns=a%2Fb"), &HeaderMap::new()),
            Err(RegistryChoiceError::Unreadable)
        );
    }
}
