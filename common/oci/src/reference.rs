//! Image references: a manifest URL, as Harbor writes it, or `harbor.example.com/library/nginx:1.27`.
//!
//! **Invariant:** nothing is decoded or normalized during parsing, so the checked text is what is put into a URL.

use std::fmt;
use std::str::FromStr;

use crate::location::is_base_path;
use crate::text::tame;
use crate::{
    BadDigest, BadLocation, BadName, Digest, Location, Origin, RegistryName, Repository, Scheme, Tag,
};

const LONGEST_REFERENCE: usize = 2_048;

/// The part behind `/manifests/`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TagOrDigest {
    Tag(Tag),
    Digest(Digest),
}

/// One image in one registry.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ImageReference {
    pub registry: RegistryName,
    /// The path above the registry's `/v2/`: empty, or `/path`.
    pub base_path: String,
    pub repository: Repository,
    /// The digest, if both tag and digest are given.
    pub wanted: TagOrDigest,
    pub tag: Option<Tag>,
    /// Whether the reference is an `http://` URL.
    pub plain_http: bool,
}

/// An invalid reference, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadReference {
    #[error("an image reference is needed, for example harbor.example.com/library/nginx:1.27")]
    Empty,
    #[error("the image reference is longer than {LONGEST_REFERENCE} characters")]
    TooLong,
    #[error("{given:?} contains {what}: write only host, path and tag, for example {EXAMPLE_URL}")]
    Forbidden { given: String, what: &'static str },
    #[error("{given:?} is not a manifest URL: write {EXAMPLE_URL} (with a tag or a digest at the end)")]
    NotAManifestUrl { given: String },
    #[error(
        "the path {given:?} before /v2/ has empty, '.' or '..' parts or invalid characters: write it like /registry"
    )]
    BasePath { given: String },
    #[error("{given:?} has no repository: write {given}/library/nginx:1.27")]
    NoRepository { given: String },
    #[error(transparent)]
    Name(#[from] BadName),
    #[error(transparent)]
    Digest(#[from] BadDigest),
}

const EXAMPLE_URL: &str = "https://harbor.example.com/v2/library/nginx/manifests/1.27";

impl TagOrDigest {
    pub fn digest(&self) -> Option<&Digest> {
        match self {
            Self::Digest(digest) => Some(digest),
            Self::Tag(_) => None,
        }
    }

    pub fn tag(&self) -> Option<&Tag> {
        match self {
            Self::Tag(tag) => Some(tag),
            Self::Digest(_) => None,
        }
    }
}

impl FromStr for TagOrDigest {
    type Err = BadReference;

    fn from_str(text: &str) -> Result<Self, BadReference> {
        if text.contains(':') {
            Ok(Self::Digest(text.parse()?))
        } else {
            Ok(Self::Tag(text.parse()?))
        }
    }
}

impl fmt::Display for TagOrDigest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => tag.fmt(out),
            Self::Digest(digest) => fmt::Display::fmt(digest, out),
        }
    }
}

/// A digest that differs from the one in the reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the reference names another digest: correct one of them")]
pub struct DigestConflict;

impl ImageReference {
    /// Makes this digest decide; the tag is kept.
    pub fn pin(&mut self, digest: Digest) -> Result<(), DigestConflict> {
        if self.wanted.digest().is_some_and(|named| *named != digest) {
            return Err(DigestConflict);
        }
        self.wanted = TagOrDigest::Digest(digest);
        Ok(())
    }

    /// Parses `https?://host[/path]/v2/<repository>/manifests/<tag or digest>` and nothing else.
    pub fn from_manifest_url(text: &str) -> Result<Self, BadReference> {
        check_letters(text)?;
        let not_one = || BadReference::NotAManifestUrl {
            given: tame(text, 200),
        };
        let (plain_http, rest) = split_scheme(text).ok_or_else(not_one)?;
        let (host, path) = rest.find('/').map(|at| rest.split_at(at)).ok_or_else(not_one)?;
        let (base_path, path) = path.split_once("/v2/").ok_or_else(not_one)?;
        let (repository, wanted) = path.rsplit_once("/manifests/").ok_or_else(not_one)?;
        if !is_base_path(base_path) {
            return Err(BadReference::BasePath {
                given: tame(base_path, 100),
            });
        }
        let registry = RegistryName::parse(host, plain_http)?;
        let wanted: TagOrDigest = wanted.parse()?;
        Ok(Self {
            repository: repository_of(&registry, repository)?,
            registry,
            base_path: base_path.to_owned(),
            tag: wanted.tag().cloned(),
            wanted,
            plain_http,
        })
    }

    /// Returns the URL of the manifest. [`ImageReference::from_manifest_url`] parses it.
    pub fn manifest_url(&self) -> String {
        let scheme = if self.plain_http { "http" } else { "https" };
        let Self {
            registry,
            base_path,
            repository,
            wanted,
            ..
        } = self;
        format!("{scheme}://{registry}{base_path}/v2/{repository}/manifests/{wanted}")
    }

    /// Returns the location of the repository.
    ///
    /// # Errors
    /// If the path above `/v2/` itself has a part `v2`.
    pub fn location(&self) -> Result<Location, BadLocation> {
        let origin = Origin {
            scheme: Scheme::of(self.plain_http),
            registry: self.registry.clone(),
            base_path: self.base_path.parse()?,
        };
        Ok(origin.at(self.repository.clone()))
    }

    fn from_human(text: &str) -> Result<Self, BadReference> {
        check_letters(text)?;
        let (plain_http, has_scheme, rest) = match split_scheme(text) {
            Some((plain_http, rest)) => (plain_http, true, rest),
            None => (false, false, text),
        };
        let (name, digest) = match rest.split_once('@') {
            Some((name, digest)) => (name, Some(digest.parse::<Digest>()?)),
            None => (rest, None),
        };
        let (registry, path) = split_registry(name, has_scheme)?;
        let registry = RegistryName::parse(registry, plain_http)?;
        // The registry and its port are already removed, so the last colon begins the tag.
        let (repository, tag) = match path.rsplit_once(':') {
            Some((repository, tag)) => (repository, Some(tag.parse::<Tag>()?)),
            None if digest.is_none() => (path, Some("latest".parse()?)),
            None => (path, None),
        };
        let repository = repository_of(&registry, repository)?;
        let by_tag = tag.clone().map(TagOrDigest::Tag);
        let wanted = digest
            .map(TagOrDigest::Digest)
            .or(by_tag)
            .ok_or(BadReference::Empty)?;
        Ok(Self {
            registry,
            base_path: String::new(),
            repository,
            wanted,
            tag,
            plain_http,
        })
    }
}

/// Splits the registry from the rest. Without a scheme, the first part is a registry only if it looks like one.
fn split_registry(name: &str, has_scheme: bool) -> Result<(&str, &str), BadReference> {
    let (first, rest) = name
        .split_once('/')
        .map_or((name, None), |(first, rest)| (first, Some(rest)));
    match rest {
        Some(rest) if has_scheme || looks_like_a_host(first) => Ok((first, rest)),
        None if has_scheme => Err(BadReference::NoRepository {
            given: tame(name, 200),
        }),
        _ => Ok(("docker.io", name)),
    }
}

/// Adds `library/` to a one-part name on Docker Hub.
fn repository_of(registry: &RegistryName, text: &str) -> Result<Repository, BadName> {
    let repository: Repository = text.parse()?;
    if registry.is_docker_hub() && !text.contains('/') {
        return format!("library/{text}").parse();
    }
    Ok(repository)
}

/// `(plain_http, what follows the scheme)`
fn split_scheme(text: &str) -> Option<(bool, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    if scheme.eq_ignore_ascii_case("https") {
        return Some((false, rest));
    }
    scheme.eq_ignore_ascii_case("http").then_some((true, rest))
}

fn check_letters(text: &str) -> Result<(), BadReference> {
    if text.is_empty() {
        return Err(BadReference::Empty);
    }
    if text.len() > LONGEST_REFERENCE {
        return Err(BadReference::TooLong);
    }
    let forbidden = |what| {
        Err(BadReference::Forbidden {
            given: tame(text, 200),
            what,
        })
    };
    if text
        .chars()
        .any(|letter| letter.is_whitespace() || letter.is_control())
    {
        return forbidden("a space or control character");
    }
    if text.contains('?') || text.contains('#') {
        return forbidden("a query or fragment");
    }
    if text.contains('%') || text.contains('\\') {
        return forbidden("'%' or '\\'");
    }
    if split_scheme(text).is_none() && text.contains("://") {
        return forbidden("a scheme that is neither https:// nor http://");
    }
    if split_scheme(text).is_some_and(|(_, rest)| rest.split('/').next().is_some_and(has_user)) {
        return forbidden("a user name or password");
    }
    Ok(())
}

/// Whether there is a user, as in `ann:pw@host`. `host@sha256:…` is not a user but a misplaced digest.
fn has_user(authority: &str) -> bool {
    authority.split_once('@').is_some_and(|(_, behind)| {
        !["sha256:", "sha512:"]
            .iter()
            .any(|digest| behind.starts_with(digest))
    })
}

impl FromStr for ImageReference {
    type Err = BadReference;

    /// Parses a manifest URL or the short form. A URL that contains `/v2/` counts as a manifest URL.
    fn from_str(text: &str) -> Result<Self, BadReference> {
        let is_api_url =
            split_scheme(text).is_some_and(|(_, rest)| rest.contains("/v2/") || rest.ends_with("/v2"));
        if is_api_url {
            Self::from_manifest_url(text)
        } else {
            Self::from_human(text)
        }
    }
}

/// Whether the first part of a name is a host; otherwise it is a namespace on Docker Hub.
fn looks_like_a_host(first: &str) -> bool {
    first.contains(['.', ':']) || first == "localhost" || first.starts_with('[')
}

impl fmt::Display for ImageReference {
    /// Writes the full short form: `docker.io/library/nginx:1.27@sha256:…`. A registry whose name looks like a
    /// namespace on Docker Hub gets its scheme in front.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !looks_like_a_host(self.registry.as_str()) {
            out.write_str(if self.plain_http { "http://" } else { "https://" })?;
        }
        write!(out, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(out, ":{tag}")?;
        }
        self.wanted
            .digest()
            .map_or(Ok(()), |digest| write!(out, "@{digest}"))
    }
}

#[cfg(test)]
#[path = "reference_tests.rs"]
mod tests;
