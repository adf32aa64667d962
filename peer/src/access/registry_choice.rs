//! Which registry a request means, and whether it may be dialled.
//!
//! **Invariant:** an [`Origin`] exists only for a registry that is configured, that a preheat named, or that the
//! peer's own `allow` list matches. Nobody has any other registry dialled by asking for it.

use http::HeaderMap;
use oci::RegistryName;
use url::Url;

pub(crate) const REGISTRY_HEADER: &str = "x-dragonfly-registry";
const NAMESPACE: &str = "ns";

/// A registry as a request reaches it. Part of what a yes is for: the same host may serve other registries under
/// other paths, or something else over plain HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Origin {
    pub(crate) registry: RegistryName,
    /// Path that `/v2/` lies under: empty, or `/registry`.
    pub(crate) base_path: String,
    pub(crate) plain_http: bool,
}

impl Origin {
    /// As nothing but its name says.
    pub(crate) fn of(registry: RegistryName) -> Self {
        Self {
            registry,
            base_path: String::new(),
            plain_http: false,
        }
    }

    /// One text for keys of maps and of notes.
    pub(crate) fn text(&self) -> String {
        let scheme = if self.plain_http { "http" } else { "https" };
        format!("{scheme}://{}{}", self.registry, self.base_path)
    }

    /// Reads [`Self::text`].
    pub(crate) fn from_text(text: &str) -> Option<Self> {
        from_header(text)
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

/// Whether a request names a registry beside its path.
pub(crate) fn is_named(query: Option<&str>, headers: &HeaderMap) -> bool {
    named(query, headers) != Err(NoRegistry::NotNamed)
}

/// What a request names, before it is known whether that may be dialled.
pub(crate) fn named(query: Option<&str>, headers: &HeaderMap) -> Result<Origin, NoRegistry> {
    if let Some(header) = headers.get(REGISTRY_HEADER) {
        let text = header.to_str().map_err(|_| NoRegistry::Unreadable)?;
        return from_header(text.trim()).ok_or(NoRegistry::Unreadable);
    }
    let namespace = query
        .and_then(|query| url::form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == NAMESPACE))
        .ok_or(NoRegistry::NotNamed)?;
    let registry = namespace.1.parse().map_err(|_| NoRegistry::Unreadable)?;
    Ok(Origin::of(registry))
}

fn from_header(text: &str) -> Option<Origin> {
    let with_scheme = if text.contains("://") {
        text.to_owned()
    } else {
        format!("https://{text}")
    };
    let url = Url::parse(&with_scheme).ok()?;
    let plain_http = match url.scheme() {
        "http" => true,
        "https" => false,
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
    Some(Origin {
        registry: RegistryName::parse(&name, plain_http).ok()?,
        base_path: base_path(url.path())?,
        plain_http,
    })
}

/// The path above `/v2`; letters that could end it early are refused.
fn base_path(path: &str) -> Option<String> {
    let path = path.trim_end_matches('/');
    let path = path.strip_suffix("/v2").unwrap_or(path);
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
    let is_clean = path.bytes().all(is_plain) && !path.split('/').any(|part| part == "..");
    is_clean.then(|| path.to_owned())
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
        assert!(!hub.plain_http);
    }

    #[test]
    fn the_header_carries_scheme_and_path() {
        let origin = named(None, &headers("http://Reg.lan:5000/team/v2/")).expect("named");
        assert_eq!(origin.registry.as_str(), "reg.lan:5000");
        assert_eq!(origin.base_path, "/team");
        assert!(origin.plain_http);
        assert_eq!(origin.text(), "http://reg.lan:5000/team");
        assert_eq!(
            named(None, &headers("https://reg.lan")).expect("named").text(),
            "https://reg.lan"
        );
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
