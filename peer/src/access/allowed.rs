//! Which registry a request names, and whether it may be dialled.
//!
//! **Invariant:** an [`Allowed`] is made by the check only: its registry is configured, was named by a preheat, or is
//! matched by an `allow` list. Nobody has any other registry dialled by asking for it.

use http::HeaderMap;
use oci::{BasePath, Location, Origin, RegistryName, Repository, Scheme};
use url::Url;

use super::Access;

pub(crate) const REGISTRY_HEADER: &str = "x-dragonfly-registry";
const NAMESPACE: &str = "ns";

/// A registry as a caller wrote it: nothing is known of it yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) registry: RegistryName,
    /// None: containerd's `ns` has no scheme.
    pub(crate) scheme: Option<Scheme>,
    pub(crate) base_path: BasePath,
}

impl Named {
    /// As nothing but its name says.
    pub(crate) fn of(registry: RegistryName) -> Self {
        Self {
            registry,
            scheme: None,
            base_path: BasePath::default(),
        }
    }
}

/// A location that may be dialled on a caller's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Allowed {
    location: Location,
    /// The caller did not ask for plain HTTP, and only a preheat has: the caller's password is not for this road.
    hides_passwords: bool,
}

impl Allowed {
    pub(crate) fn location(&self) -> &Location {
        &self.location
    }

    pub(crate) fn hides_passwords(&self) -> bool {
        self.hides_passwords
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoRegistry {
    #[error(
        "this request names no registry: give the mirror in hosts.toml as [host.\"http://127.0.0.1:65001\"], so that containerd adds ns=<registry>, or add the header X-Dragonfly-Registry = \"https://<registry>\"; podman and CRI-O: location = \"127.0.0.1:65001/<registry>\" in registries.conf"
    )]
    NotNamed,
    #[error("X-Dragonfly-Registry or ns holds no registry: write https://host[:port] or host[:port]")]
    Unreadable,
    #[error(
        "{0} is not dialled on a client's word: configure it as [registry.\"{0}\"], preheat an image of it, or add it to allow below [dial]"
    )]
    NotAllowed(RegistryName),
}

impl Access {
    /// The location that a request means, if it may be dialled. A registry in the path counts where none is named
    /// beside it.
    pub(crate) fn choose(
        &self,
        by_path: Option<RegistryName>,
        repository: Repository,
        query: Option<&str>,
        headers: &HeaderMap,
    ) -> Result<Allowed, NoRegistry> {
        let named = match by_path {
            Some(registry) => Named::of(registry),
            None => named(query, headers)?,
        };
        let canonical = self.neighbours.registries().canonical(&named.registry);
        let seen_plain = named.scheme.is_none() && self.neighbours.seen_by_plain_http_only(&canonical);
        let scheme = named.scheme.unwrap_or(Scheme::of(seen_plain));
        let origin = Origin {
            scheme,
            registry: named.registry,
            base_path: named.base_path,
        };
        let mut allowed = self.allow(&origin.at(repository))?;
        allowed.hides_passwords = seen_plain;
        Ok(allowed)
    }

    /// The location under its registry's one name, by the configured scheme, if it may be dialled.
    pub(crate) fn allow(&self, location: &Location) -> Result<Allowed, NoRegistry> {
        let origin = self.neighbours.registries().canonical_origin(&location.origin);
        if !self.may_dial(&origin) {
            return Err(NoRegistry::NotAllowed(origin.registry));
        }
        Ok(Allowed {
            location: origin.at(location.repository.clone()),
            hides_passwords: false,
        })
    }

    pub(super) fn may_dial(&self, origin: &Origin) -> bool {
        let allowed = |pattern: &String| oci::is_named_by(&origin.registry, pattern);
        self.neighbours.may_dial(&origin.registry) || self.limits.allow.iter().any(allowed)
    }
}

/// Whether a request names a registry beside its path.
pub(crate) fn is_named(query: Option<&str>, headers: &HeaderMap) -> bool {
    named(query, headers) != Err(NoRegistry::NotNamed)
}

/// What a request names, before it is known whether that may be dialled.
fn named(query: Option<&str>, headers: &HeaderMap) -> Result<Named, NoRegistry> {
    if let Some(header) = headers.get(REGISTRY_HEADER) {
        let text = header.to_str().map_err(|_| NoRegistry::Unreadable)?;
        return from_header(text.trim()).ok_or(NoRegistry::Unreadable);
    }
    let namespace = query
        .and_then(|query| url::form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == NAMESPACE))
        .ok_or(NoRegistry::NotNamed)?;
    let registry = namespace.1.parse().map_err(|_| NoRegistry::Unreadable)?;
    Ok(Named::of(registry))
}

fn from_header(text: &str) -> Option<Named> {
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
    Some(Named {
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
            assert_eq!(named(None, &headers(bad)), Err(NoRegistry::Unreadable), "{bad}");
        }
        assert_eq!(named(None, &HeaderMap::new()), Err(NoRegistry::NotNamed));
        assert_eq!(
            named(Some("ns=a%2Fb"), &HeaderMap::new()),
            Err(NoRegistry::Unreadable)
        );
    }
}
