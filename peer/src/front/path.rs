//! Parses the path of a request: the object or list, its repository, and the registry for clients that can name it
//! nowhere else (podman, CRI-O).
//!
//! **Invariant:** the result consists of checked types; no later code reads the path's text.

use std::fmt;
use std::str::FromStr;

use oci::{BadDigest, Digest, RegistryName, Repository, RequestedList, TagOrDigest};
use percent_encoding::percent_decode_str;
use wire::ObjectKind;

use crate::access::registry_prefix;

/// What a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RequestedPath {
    Object(ObjectPath),
    List(ListPath),
}

/// The list that a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListPath {
    /// If the path begins with one.
    pub(crate) registry: Option<RegistryName>,
    pub(crate) repository: Repository,
    /// None: the subject of the referrers is not a digest.
    pub(crate) list: Option<RequestedList>,
}

/// The object that a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ObjectPath {
    /// If the path begins with one.
    pub(crate) registry: Option<RegistryName>,
    pub(crate) repository: Repository,
    pub(crate) object: RequestedObject,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RequestedObject {
    Manifest(TagOrDigest),
    Blob(Digest),
}

impl RequestedObject {
    /// Returns the route's template.
    pub(crate) fn template(&self) -> &'static str {
        match self {
            Self::Manifest(_) => "/v2/{repository}/manifests/{reference}",
            Self::Blob(_) => "/v2/{repository}/blobs/{digest}",
        }
    }

    pub(crate) fn kind(&self) -> ObjectKind {
        match self {
            Self::Manifest(_) => ObjectKind::Manifest,
            Self::Blob(_) => ObjectKind::Blob,
        }
    }
}

impl fmt::Display for RequestedObject {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Manifest(wanted) => wanted.fmt(out),
            Self::Blob(digest) => digest.fmt(out),
        }
    }
}

/// Parses `/v2/<repository>/manifests/<tag or digest>`, `/v2/<repository>/blobs/<digest>`, `/v2/<repository>/tags/list`
/// and
/// `/v2/<repository>/referrers/<digest>`.
pub(crate) fn parse(path: &str) -> Option<RequestedPath> {
    read(path, false)
}

/// Parses `/v2/<registry>/<repository>/…`, and paths without a registry as [`parse`] does.
pub(crate) fn parse_with_registry(path: &str) -> Option<RequestedPath> {
    read(path, true)
}

/// Returns the algorithm of the digest in a path, if it is one that cannot be verified.
pub(crate) fn unknown_algorithm(path: &str) -> Option<String> {
    let decoded = percent_decode_str(path).decode_utf8().ok()?;
    let (rest, name) = decoded.strip_prefix("/v2/")?.rsplit_once('/')?;
    let is_object = rest.ends_with("/manifests") || rest.ends_with("/blobs");
    match name.parse::<Digest>() {
        Err(BadDigest::UnknownAlgorithm { algorithm }) if is_object => Some(algorithm),
        _ => None,
    }
}

enum Named {
    Object(RequestedObject),
    List(Option<RequestedList>),
}

fn read(path: &str, may_name_registry: bool) -> Option<RequestedPath> {
    let decoded = percent_decode_str(path).decode_utf8().ok()?;
    let rest = decoded.strip_prefix("/v2/")?;
    // From the end: a repository may contain `manifests`.
    let (rest, name) = rest.rsplit_once('/')?;
    let (repository, kind) = rest.rsplit_once('/')?;
    let named = match kind {
        "manifests" => Named::Object(RequestedObject::Manifest(tag_or_digest(name)?)),
        "blobs" => Named::Object(RequestedObject::Blob(name.parse().ok()?)),
        "tags" if name == "list" => Named::List(Some(RequestedList::Tags)),
        "referrers" => Named::List(name.parse().ok().map(RequestedList::Referrers)),
        _ => return None,
    };
    let prefix = may_name_registry.then(|| registry_prefix(repository)).flatten();
    let (registry, repository) = match prefix {
        Some((registry, rest)) => (Some(registry), rest),
        None => (None, repository),
    };
    let repository = repository.parse().ok()?;
    Some(match named {
        Named::Object(object) => RequestedPath::Object(ObjectPath {
            registry,
            repository,
            object,
        }),
        Named::List(list) => RequestedPath::List(ListPath {
            registry,
            repository,
            list,
        }),
    })
}

fn tag_or_digest(text: &str) -> Option<TagOrDigest> {
    if text.contains(':') {
        return Digest::from_str(text).ok().map(TagOrDigest::Digest);
    }
    text.parse().ok().map(TagOrDigest::Tag)
}

#[cfg(test)]
mod tests {
    use oci::DigestAlgorithm;
    use proptest::prelude::*;

    use super::*;

    fn parse(path: &str) -> Option<ObjectPath> {
        object(super::parse(path)?)
    }

    fn parse_with_registry(path: &str) -> Option<ObjectPath> {
        object(super::parse_with_registry(path)?)
    }

    fn object(path: RequestedPath) -> Option<ObjectPath> {
        match path {
            RequestedPath::Object(object) => Some(object),
            RequestedPath::List(_) => None,
        }
    }

    #[test]
    fn lists_are_distinguished_from_objects() {
        let list = |path: &str| match super::parse_with_registry(path) {
            Some(RequestedPath::List(list)) => list,
            other => panic!("{path} is {other:?}"),
        };
        let tags = list("/v2/127.0.0.1__5000/lib/app/tags/list");
        assert_eq!(tags.list, Some(RequestedList::Tags));
        assert_eq!(tags.registry.expect("a registry").as_str(), "127.0.0.1:5000");
        assert_eq!(tags.repository.as_str(), "lib/app");
        let referrers = list(&format!("/v2/tags/referrers/{DIGEST}"));
        assert!(matches!(referrers.list, Some(RequestedList::Referrers(_))));
        assert_eq!(list("/v2/a/referrers/x").list, None);
        let sha512 = format!("sha512:{}", "0".repeat(128));
        assert!(list(&format!("/v2/a/referrers/{sha512}")).list.is_some());
    }

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn manifests_and_blobs_are_distinguished() {
        let by_tag = parse("/v2/library/nginx/manifests/1.27").expect("a manifest");
        assert_eq!(by_tag.repository.as_str(), "library/nginx");
        assert!(matches!(
            by_tag.object,
            RequestedObject::Manifest(TagOrDigest::Tag(_))
        ));
        let by_digest = parse(&format!("/v2/a/manifests/{DIGEST}")).expect("a manifest");
        assert!(matches!(
            by_digest.object,
            RequestedObject::Manifest(TagOrDigest::Digest(_))
        ));
        let blob = parse(&format!("/v2/a/blobs/{}", DIGEST.replace(':', "%3A"))).expect("a blob");
        assert_eq!(
            blob.object,
            RequestedObject::Blob(DIGEST.parse().expect("a digest"))
        );
    }

    #[test]
    fn a_repository_may_be_called_like_a_part_of_the_path() {
        let asked = parse("/v2/v2/manifests/blobs/manifests/x").expect("a manifest");
        assert_eq!(asked.repository.as_str(), "v2/manifests/blobs");
    }

    #[test]
    fn a_path_may_begin_with_the_registry() {
        for (path, registry, repository) in [
            (
                "/v2/docker.io/library/nginx/manifests/1.27",
                "docker.io",
                "library/nginx",
            ),
            ("/v2/127.0.0.1:5000/app/manifests/v1", "127.0.0.1:5000", "app"),
            ("/v2/reg.lan%3A5000/a/b/manifests/v1", "reg.lan:5000", "a/b"),
            ("/v2/localhost/app/manifests/v1", "localhost", "app"),
            ("/v2/127.0.0.1__5000/app/manifests/v1", "127.0.0.1:5000", "app"),
            ("/v2/reg__5000/a/b/manifests/v1", "reg:5000", "a/b"),
        ] {
            let asked = parse_with_registry(path).expect("a manifest");
            assert_eq!(asked.registry.expect("a registry").as_str(), registry);
            assert_eq!(asked.repository.as_str(), repository);
        }
        for (path, repository) in [
            ("/v2/library/nginx/manifests/1.27", "library/nginx"),
            ("/v2/app.v2/manifests/1.27", "app.v2"),
            ("/v2/my__app/x/manifests/1.27", "my__app/x"),
        ] {
            let asked = parse_with_registry(path).expect("a manifest");
            assert_eq!((asked.registry, asked.repository.as_str()), (None, repository));
        }
        // Where the registry is named elsewhere, a dot is part of the repository.
        let asked = parse("/v2/docker.io/library/nginx/manifests/1.27").expect("a manifest");
        assert_eq!(
            (asked.registry, asked.repository.as_str()),
            (None, "docker.io/library/nginx")
        );
        assert_eq!(parse_with_registry("/v2/127.0.0.1:5000/manifests/v1"), None);
    }

    #[test]
    fn other_paths_are_refused() {
        for path in [
            "",
            "/v2/",
            "/v2",
            "/v2/a/referrers/x",
            "/v2/a/tags/list",
            "/v2/a/blobs/uploads/",
            "/v2/../manifests/x",
            "/v2/a/%2e%2e/manifests/x",
            "/v2/a/manifests/..",
            "/v2/a/manifests/sha256:00",
            "/v2/a/manifests/sha512:00",
            "/v2/a/blobs/blake3:00",
            "/v2/a/blobs/latest",
            "/v2//manifests/x",
            "/v2/A/manifests/x",
            "/v2/a/manifests/%ff",
        ] {
            assert_eq!(parse(path), None, "{path}");
        }
    }

    #[test]
    fn a_digest_may_be_sha512_and_other_algorithms_are_named() {
        let digest = DigestAlgorithm::Sha512.digest(b"");
        let blob = parse(&format!("/v2/a/blobs/{digest}")).expect("a blob");
        assert_eq!(blob.object, RequestedObject::Blob(digest));
        assert_eq!(
            unknown_algorithm("/v2/a/blobs/blake3%3A00").as_deref(),
            Some("blake3")
        );
        assert_eq!(
            unknown_algorithm("/v2/a/manifests/md5:00").as_deref(),
            Some("md5")
        );
        for path in [
            "/v2/a/tags/md5:00",
            "/v2/a/blobs/sha256:00",
            "/v2/a/manifests/v1",
            "md5:00",
        ] {
            assert_eq!(unknown_algorithm(path), None, "{path}");
        }
    }

    proptest! {
        #[test]
        fn no_path_climbs(path in "(/v2/)?[a-zA-Z0-9/._%:-]{0,60}") {
            if let Some(asked) = parse(&path) {
                prop_assert!(!asked.repository.as_str().split('/').any(|part| part == ".." || part.is_empty()));
            }
        }

        #[test]
        fn what_is_written_is_read(repository in "[a-z0-9]{1,9}(/[a-z0-9]{1,9}){0,3}", tag in "[a-z0-9_][a-z0-9._-]{0,20}") {
            let asked = parse(&format!("/v2/{repository}/manifests/{tag}")).expect("a manifest");
            prop_assert_eq!(asked.repository.as_str(), repository);
            prop_assert_eq!(asked.object, RequestedObject::Manifest(TagOrDigest::Tag(tag.parse().expect("a tag"))));
        }
    }
}
