//! Registry, repository and tag: the three names in an image reference.
//!
//! **Invariant:** each contains only characters without a special meaning in a path or a URL, so none can leave a
//! folder, add a query or name another host.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::serde_text::serde_as_text;
use crate::text::tame;

const DOCKER_HUB: &str = "docker.io";
const DOCKER_HUB_API: &str = "registry-1.docker.io";
/// Other names of Docker Hub: of its API, of its first registry, and of its web page, under which people write images.
const DOCKER_HUB_ALIASES: [&str; 5] = [
    DOCKER_HUB_API,
    "index.docker.io",
    "registry.docker.io",
    "registry.hub.docker.com",
    "hub.docker.com",
];
const LONGEST_HOST: usize = 253;
const LONGEST_REPOSITORY: usize = 255;
const LONGEST_TAG: usize = 128;
const LOWER_CASE: &str = "write repositories in lower case";

/// `host` or `host:port`, normalized: lower case, no default port, one name for Docker Hub.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegistryName(Box<str>);

/// `library/nginx`: lower-case parts joined by single slashes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Repository(Box<str>);

/// `1.27`
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(Box<str>);

/// An invalid name, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is not a {what}: {advice}")]
pub struct BadName {
    given: String,
    what: &'static str,
    advice: &'static str,
}

impl BadName {
    fn new(given: &str, what: &'static str, advice: &'static str) -> Self {
        Self {
            given: tame(given, 100),
            what,
            advice,
        }
    }
}

impl RegistryName {
    /// Parses `host[:port]`. Port 80 is the default only with plain HTTP.
    pub fn parse(text: &str, plain_http: bool) -> Result<Self, BadName> {
        let lower = text.to_ascii_lowercase();
        let (host, port) = split_port(&lower).map_err(|advice| BadName::new(text, "registry", advice))?;
        check_host(host).map_err(|advice| BadName::new(text, "registry", advice))?;
        let default_port = if plain_http { 80 } else { 443 };
        let name = match port {
            Some(port) if port != default_port => format!("{host}:{port}"),
            _ => host.to_owned(),
        };
        let is_docker_hub = DOCKER_HUB_ALIASES.contains(&name.as_str());
        Ok(Self(if is_docker_hub {
            DOCKER_HUB.into()
        } else {
            name.into()
        }))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the host (and port) that serves the registry API.
    pub fn api_host(&self) -> &str {
        if self.is_docker_hub() {
            DOCKER_HUB_API
        } else {
            &self.0
        }
    }

    /// Returns the name without its port.
    pub fn host(&self) -> &str {
        split_port(&self.0).map_or(&self.0, |(host, _)| host)
    }

    /// Returns the port, if it is not the default.
    pub(crate) fn port(&self) -> Option<u16> {
        split_port(&self.0).ok()?.1
    }

    pub fn is_docker_hub(&self) -> bool {
        &*self.0 == DOCKER_HUB
    }

    /// Whether it is on this machine.
    pub(crate) fn is_loopback(&self) -> bool {
        let host = self.host();
        host == "localhost"
            || host
                .parse::<Ipv4Addr>()
                .is_ok_and(|address| address.is_loopback())
            || bracketed(host).is_some_and(|address| address.is_loopback())
    }

    /// Returns the same registry with the default port of plain HTTP or HTTPS.
    pub(crate) fn for_scheme(&self, plain_http: bool) -> Self {
        Self::parse(&self.0, plain_http).unwrap_or_else(|_| self.clone())
    }
}

fn bracketed(host: &str) -> Option<Ipv6Addr> {
    host.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

fn split_port(text: &str) -> Result<(&str, Option<u16>), &'static str> {
    const ADVICE: &str = "a port is a number from 1 to 65535";
    let Some((host, port)) = text.rsplit_once(':') else {
        return Ok((text, None));
    };
    if text.ends_with(']') {
        return Ok((text, None));
    }
    let all_digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    match port.parse::<u16>() {
        Ok(number) if all_digits && number > 0 => Ok((host, Some(number))),
        _ => Err(ADVICE),
    }
}

fn check_host(host: &str) -> Result<(), &'static str> {
    const ADVICE: &str = "write host or host:port, for example harbor.example.com or 10.0.0.1:5000";
    if host.starts_with('[') {
        return bracketed(host)
            .map(|_| ())
            .ok_or("write an IPv6 address as [::1] or [::1]:5000");
    }
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if host.len() > LONGEST_HOST || !host.split('.').all(is_label) {
        return Err(ADVICE);
    }
    // 2130706433, 0x7f.1 and 127.1 are other spellings of an address, which not every resolver reads alike.
    let last = host.rsplit('.').next().unwrap_or(host);
    let looks_like_a_number = last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x");
    if looks_like_a_number && host.parse::<Ipv4Addr>().is_err() {
        return Err("write an IPv4 address as four numbers, for example 10.0.0.1");
    }
    Ok(())
}

impl FromStr for RegistryName {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        Self::parse(text, false)
    }
}

impl Repository {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Repository {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let refuse = |advice| Err(BadName::new(text, "repository", advice));
        if text.len() > LONGEST_REPOSITORY {
            return refuse("a repository has at most 255 characters");
        }
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return refuse(LOWER_CASE);
        }
        if text.split('/').any(str::is_empty) {
            return refuse("join its parts with single slashes, for example library/nginx");
        }
        if !text.split('/').all(is_component) {
            return refuse(
                "use letters and digits in each part, joined by '.', '_', '__' or '-', for example team-a/web.app",
            );
        }
        Ok(Self(text.into()))
    }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_component(component: &str) -> bool {
    let bytes = component.as_bytes();
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else {
        return false;
    };
    is_word(*first)
        && is_word(*last)
        && component
            .split(|letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit())
            .all(|joint| matches!(joint, "" | "." | "_" | "__") || joint.bytes().all(|byte| byte == b'-'))
}

impl Tag {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Tag {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let starts_well = text.bytes().next().is_some_and(is_word);
        let continues_well = text
            .bytes()
            .all(|byte| is_word(byte) || byte == b'.' || byte == b'-');
        if starts_well && continues_well && text.len() <= LONGEST_TAG {
            return Ok(Self(text.into()));
        }
        let advice =
            "a tag has up to 128 letters, digits, '_', '.' and '-', and does not begin with '.' or '-'";
        Err(BadName::new(text, "tag", advice))
    }
}

macro_rules! is_shown_as_text {
    ($($name:ident),+) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(&self.0)
            }
        }
    )+};
}
is_shown_as_text!(RegistryName, Repository, Tag);
serde_as_text!(RegistryName, Repository, Tag);

#[cfg(test)]
#[path = "names_tests.rs"]
mod tests;
