//! Challenges in `WWW-Authenticate`, and which token servers may receive a credential.
//!
//! **Invariant:** a credential goes to a token realm only over HTTPS (or if the registry itself uses plain HTTP or is
//! on this machine; a realm that a registry on HTTPS names with `http` is asked over HTTPS), and only to a host in the registry's own domain or in the configured list. A registry cannot
//! redirect our users' passwords to a foreign server.

use std::net::IpAddr;

use url::{Host, Url};

use crate::RegistryName;
use crate::text::tame;

/// Longer headers are ignored: real ones have a few hundred characters.
const HEADER_LIMIT: usize = 8 * 1024;
const CHALLENGES_LIMIT: usize = 16;

/// One way to sign in that a registry offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Challenge {
    Basic {
        realm: String,
    },
    Bearer {
        realm: String,
        service: Option<String>,
        scope: Option<String>,
    },
}

impl Challenge {
    /// Whether Harbor sent this challenge: its name is the service of a Bearer and the realm of a Basic challenge.
    pub fn is_of_harbor(&self) -> bool {
        match self {
            Self::Basic { realm } => realm == "harbor",
            Self::Bearer { service, .. } => service.as_deref() == Some("harbor-registry"),
        }
    }
}

/// Whether a 401 with these headers comes from a Harbor.
pub(crate) fn is_of_harbor(headers: &http::HeaderMap) -> bool {
    let challenges = headers.get_all(http::header::WWW_AUTHENTICATE);
    let texts = challenges.iter().filter_map(|value| value.to_str().ok());
    texts.flat_map(parse).any(|challenge| challenge.is_of_harbor())
}

/// Why a token realm gets no request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRealm {
    #[error("its token realm {realm:?} is not a URL")]
    NotAUrl { realm: String },
    #[error("its token server {host} uses plain HTTP, so the credential could be read in transit")]
    PlainHttp { host: String },
    #[error("its token server {host} is outside the registry's domain")]
    ForeignHost { host: String },
}

impl BadRealm {
    /// Returns what an operator can do about it.
    pub fn what_to_do(&self) -> String {
        match self {
            Self::NotAUrl { .. } => "fix the token realm in the registry's configuration".into(),
            Self::PlainHttp { .. } => {
                "serve the token realm over HTTPS, or set plain_http for this registry".into()
            }
            Self::ForeignHost { host } => {
                format!(
                    "add {host:?} to the registry's token_realms, if it may receive the registry's credentials"
                )
            }
        }
    }
}

/// Returns every readable challenge; skips the rest.
pub fn parse(header: &str) -> Vec<Challenge> {
    if header.len() > HEADER_LIMIT {
        return Vec::new();
    }
    let mut rest = HeaderReader(header);
    let mut found = Vec::new();
    while found.len() < CHALLENGES_LIMIT {
        rest.skip_separators();
        let scheme = rest.token();
        if scheme.is_empty() {
            return found;
        }
        let parameters = rest.parameters();
        found.extend(challenge(scheme, &parameters));
    }
    found
}

type Parameters<'header> = Vec<(&'header str, String)>;

fn challenge(scheme: &str, parameters: &Parameters<'_>) -> Option<Challenge> {
    let value = |name: &str| {
        parameters
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.clone())
    };
    if scheme.eq_ignore_ascii_case("basic") {
        return Some(Challenge::Basic {
            realm: value("realm").unwrap_or_default(),
        });
    }
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(Challenge::Bearer {
            realm: value("realm")?,
            service: value("service"),
            scope: value("scope"),
        });
    }
    None
}

/// The unread rest of a header.
struct HeaderReader<'header>(&'header str);

impl<'header> HeaderReader<'header> {
    fn skip_separators(&mut self) {
        self.0 = self.0.trim_start_matches([' ', '\t', ',']);
    }

    fn skip_spaces(&mut self) {
        self.0 = self.0.trim_start_matches([' ', '\t']);
    }

    fn token(&mut self) -> &'header str {
        let is_token = |letter: char| letter.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~/".contains(letter);
        let end = self.0.find(|letter| !is_token(letter)).unwrap_or(self.0.len());
        let (token, rest) = self.0.split_at(end);
        self.0 = rest;
        token
    }

    /// Reads `name=value` pairs up to the next scheme, a word without a `=` behind it.
    fn parameters(&mut self) -> Parameters<'header> {
        let mut found = Vec::new();
        loop {
            let before = self.0;
            self.skip_separators();
            let name = self.token();
            self.skip_spaces();
            let Some(behind) = self.0.strip_prefix('=') else {
                self.0 = before;
                // A token68 or junk would loop for ever: skip it.
                if found.is_empty() && name.is_empty() {
                    self.0 = "";
                }
                return found;
            };
            self.0 = behind;
            self.skip_spaces();
            let value = self.value();
            if name.is_empty() {
                self.0 = "";
                return found;
            }
            found.push((name, value));
        }
    }

    fn value(&mut self) -> String {
        let Some(inside) = self.0.strip_prefix('"') else {
            return self.token().to_owned();
        };
        let mut value = String::new();
        let mut letters = inside.char_indices();
        while let Some((at, letter)) = letters.next() {
            match letter {
                '"' => {
                    self.0 = inside.get(at + 1..).unwrap_or_default();
                    return value;
                }
                '\\' => value.extend(letters.next().map(|(_, escaped)| escaped)),
                other => value.push(other),
            }
        }
        self.0 = "";
        value
    }
}

/// Returns the token server's URL if it may receive the credential.
pub fn check_realm(
    realm: &str,
    registry: &RegistryName,
    registry_is_plain_http: bool,
    listed: &[String],
) -> Result<Url, BadRealm> {
    let not_a_url = || BadRealm::NotAUrl {
        realm: tame(realm, 200),
    };
    let url = Url::parse(realm).map_err(|_| not_a_url())?;
    let host = url.host().ok_or_else(not_a_url)?;
    let host_text = host.to_string();
    let has_user = !url.username().is_empty() || url.password().is_some();
    if has_user || !matches!(url.scheme(), "https" | "http") {
        return Err(not_a_url());
    }
    if !is_own_host(&host, registry) && !is_listed(&url, &host_text, listed) {
        return Err(BadRealm::ForeignHost { host: host_text });
    }
    let both_are_local = registry.is_loopback() && is_loopback(&host);
    if url.scheme() == "http" && !registry_is_plain_http && !both_are_local {
        return over_https(&url, registry).ok_or(BadRealm::PlainHttp { host: host_text });
    }
    Ok(url)
}

/// Returns where the same token server is over HTTPS. Registries behind a proxy that ends TLS often name their realm
/// with `http` and the port behind the proxy.
fn over_https(realm: &Url, registry: &RegistryName) -> Option<Url> {
    let mut url = realm.clone();
    url.set_scheme("https").ok()?;
    if realm.host_str() == Some(registry.host()) {
        url.set_port(registry.port()).ok()?;
        return Some(url);
    }
    realm.port().is_none().then_some(url)
}

pub(crate) fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

fn is_listed(url: &Url, host: &str, listed: &[String]) -> bool {
    let with_port = url.port().map(|port| format!("{host}:{port}"));
    let is = |name: &String| name.eq_ignore_ascii_case(host) || Some(name.to_ascii_lowercase()) == with_port;
    listed.iter().any(is)
}

fn is_own_host(host: &Host<&str>, registry: &RegistryName) -> bool {
    if host.to_string() == registry.host() {
        return true;
    }
    let Host::Domain(name) = host else { return false };
    if registry.is_docker_hub() {
        return *name == "auth.docker.io";
    }
    if registry.host().parse::<IpAddr>().is_ok() {
        return false;
    }
    matches!((domain(name), domain(registry.host())), (Some(one), Some(other)) if one == other)
}

/// Returns the part of a host name that one owner has registered, as far as that is known without the public suffix
/// list. When in doubt `None`: then only the same host counts as the registry's own.
fn domain(host: &str) -> Option<&str> {
    let mut dots = host.rmatch_indices('.').map(|(at, _)| at);
    let (top_dot, next_dot) = (dots.next()?, dots.next());
    let top = host.get(top_dot + 1..)?;
    let second = host.get(next_dot.map_or(0, |at| at + 1)..top_dot)?;
    // co.uk, com.au, ac.jp: names below a short second part of a country domain have many owners.
    let is_shared_by_country = top.len() == 2 && second.len() <= 3;
    let last_two = host.get(next_dot.map_or(0, |at| at + 1)..)?;
    if is_shared_by_country || SHARED_DOMAINS.contains(&last_two) {
        return None;
    }
    Some(last_two)
}

/// Domains whose subdomains belong to different owners.
const SHARED_DOMAINS: [&str; 24] = [
    "amazonaws.com",
    "appspot.com",
    "azure.com",
    "azurecr.cn",
    "azurecr.io",
    "azurecr.us",
    "azurewebsites.net",
    "cloudfront.net",
    "duckdns.org",
    "fly.dev",
    "github.io",
    "gitlab.io",
    "googleapis.com",
    "herokuapp.com",
    "ngrok.app",
    "ngrok.io",
    "nip.io",
    "onrender.com",
    "pages.dev",
    "pkg.dev",
    "run.app",
    "sslip.io",
    "vercel.app",
    "workers.dev",
];

#[cfg(test)]
#[path = "challenge_tests.rs"]
mod tests;
