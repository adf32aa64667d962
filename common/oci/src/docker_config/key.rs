//! Matches one key of `config.json` with registries and repositories, and ranks the match.

use std::cmp::Reverse;

use super::{KeyedRegistry, server_name};
use crate::{RegistryName, Repository};

/// The parts of a key such as `https://*.example.com:5000/team-a`.
pub(super) struct ConfigKey<'text> {
    text: &'text str,
    has_http: bool,
    /// With its port.
    host: &'text str,
    /// Without leading or trailing slashes.
    path: &'text str,
}

/// What a key names. Docker tries helpers first, then its store, then the file's entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum KeyKind {
    Entry,
    Store,
    Helper,
}

/// The sort order, greatest first: longest path, host without `*`, kind, then the rest of the rank.
pub(super) type Order = (usize, bool, KeyKind, Rank);

/// How closely a key matches; the greatest wins.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    /// Number of path parts.
    parts: usize,
    /// Whether the host has no `*`.
    is_exact: bool,
    /// Number of characters in the host, without `*`.
    letters: usize,
    /// Higher if docker itself writes the key this way.
    is_usual: u8,
    /// The tie-break, so that the order in the file never matters.
    text: Reverse<String>,
    pub(super) path: String,
}

impl<'text> ConfigKey<'text> {
    pub(super) fn of(text: &'text str) -> Self {
        let has_http = text.starts_with("http://");
        let rest = text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"))
            .unwrap_or(text);
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let path = path.trim_matches('/');
        // `/v1` and `/v2` are API paths, not namespaces.
        let (first, behind) = path.split_once('/').unwrap_or((path, ""));
        let path = if matches!(first, "v1" | "v2") {
            behind.trim_matches('/')
        } else {
            path
        };
        Self {
            text,
            has_http,
            host,
            path,
        }
    }

    /// Returns `None` if the key is for another registry.
    pub(super) fn rank(&self, registry: &KeyedRegistry) -> Option<Rank> {
        let uses_http = self.has_http || registry.plain_http;
        let registry = &registry.name;
        let is_exact = RegistryName::parse(self.host, uses_http).is_ok_and(|host| host == *registry);
        if !is_exact && !self.host_matches(registry, uses_http) {
            return None;
        }
        let usual = [registry.as_str(), server_name(registry)];
        let is_usual = usual.iter().rposition(|usual| *usual == self.text);
        Some(Rank {
            parts: parts(self.path).count(),
            is_exact,
            letters: self.host.bytes().filter(|byte| *byte != b'*').count(),
            is_usual: is_usual.map_or(0, |at| if at == 0 { 1 } else { 2 }),
            text: Reverse(self.text.to_owned()),
            path: self.path.to_owned(),
        })
    }

    /// Whether the repository is below the key's path. Whole parts are compared: `team-a` does not cover `team-ab/app`.
    pub(super) fn covers(&self, repository: Option<&Repository>) -> bool {
        let mut given = parts(repository.map_or("", Repository::as_str));
        parts(self.path).all(|part| given.next() == Some(part))
    }

    fn host_matches(&self, registry: &RegistryName, uses_http: bool) -> bool {
        if !self.host.contains('*') {
            return false;
        }
        let names = [registry.as_str(), registry.api_host()];
        names
            .into_iter()
            .any(|name| self.pattern_matches(name, uses_http))
    }

    fn pattern_matches(&self, name: &str, uses_http: bool) -> bool {
        let (pattern, port) = with_port(self.host);
        let (host, found_port) = with_port(name);
        let default_port = if uses_http { "80" } else { "443" };
        let port = port.filter(|port| *port != default_port);
        if port != Some("*") && port != found_port {
            return false;
        }
        let pattern = pattern.to_ascii_lowercase();
        let (mut labels, mut wanted) = (host.split('.'), pattern.split('.'));
        loop {
            match (wanted.next(), labels.next()) {
                (None, None) => return true,
                (Some(pattern), Some(label)) if label_matches(pattern, label) => {}
                _ => return false,
            }
        }
    }
}

impl Rank {
    /// Returns the rank of a key without a path.
    pub(super) fn of_host() -> Self {
        Self {
            parts: 0,
            is_exact: true,
            letters: usize::MAX,
            is_usual: u8::MAX,
            text: Reverse(String::new()),
            path: String::new(),
        }
    }

    pub(super) fn order(self, kind: KeyKind) -> Order {
        (self.parts, self.is_exact, kind, self)
    }

    pub(super) fn is_of_host(&self) -> bool {
        self.parts == 0
    }
}

fn parts(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|part| !part.is_empty())
}

fn with_port(host: &str) -> (&str, Option<&str>) {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    }
}

/// Matches a label; `*` stands for zero or more characters.
fn label_matches(pattern: &str, label: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == label;
    };
    let Some(label) = label.strip_prefix(start) else {
        return false;
    };
    let (middle, end) = rest.rsplit_once('*').unwrap_or(("", rest));
    let Some(mut label) = label.strip_suffix(end) else {
        return false;
    };
    for piece in middle.split('*') {
        match label.find(piece) {
            Some(at) => label = label.get(at + piece.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    true
}
