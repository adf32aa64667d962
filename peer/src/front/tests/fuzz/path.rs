use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use oci::TagOrDigest;

use super::{Fuzzing, Tried};
use crate::front::path::{ObjectPath, RequestedObject, parse, parse_with_registry};

const SAMPLES: [&str; 7] = [
    "/v2/library/nginx/manifests/1.27",
    "/v2/a/blobs/sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "/v2/a/b/c/manifests/sha256%3Ae3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "/v2/v2/manifests/blobs/manifests/x",
    "/v2/a/tags/list",
    "/v2/docker.io/library/nginx/manifests/1.27",
    "/v2/[::1]:5000/a/manifests/v1",
];
const WORDS: [&str; 24] = [
    "/v2/",
    "/",
    "//",
    "/manifests/",
    "/blobs/",
    "..",
    "../",
    "./",
    "%2e%2e",
    "%2F",
    "%00",
    "%",
    "%zz",
    "sha256:",
    "sha512:",
    "%3A",
    "latest",
    "__",
    "-",
    "@",
    "\\",
    "\u{e9}",
    "A",
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
];

/// A parsed path consists of names that are valid in URLs and file names, and has one spelling only.
#[test]
fn no_path_leaves_its_repository() {
    let mut fuzzing = Fuzzing::new("path", &SAMPLES, &WORDS);
    while let Some(input) = fuzzing.next() {
        let tried = Tried(&input);
        let text = String::from_utf8_lossy(&input);
        let way = parse(&text).map_or(0, |asked| check(&asked));
        let prefixed = parse_with_registry(&text).map_or(0, |asked| check(&asked));
        let way = way.wrapping_mul(31).wrapping_add(prefixed);
        drop(tried);
        fuzzing.went(input, way);
    }
}

fn check(asked: &ObjectPath) -> u64 {
    let repository = asked.repository.as_str();
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-/".contains(&byte);
    assert!(
        repository.bytes().all(plain) && repository.len() <= 255,
        "{repository:?}"
    );
    assert!(
        !repository
            .split('/')
            .any(|part| part.is_empty() || part.starts_with('.')),
        "{repository:?}"
    );
    let (kind, name) = match &asked.object {
        RequestedObject::Manifest(wanted) => ("manifests", wanted.to_string()),
        RequestedObject::Blob(digest) => ("blobs", digest.to_string()),
    };
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"._-:".contains(&byte);
    assert!(
        name.bytes().all(safe) && name != "." && name != ".." && !name.is_empty(),
        "{name:?}"
    );
    let (written, again) = match &asked.registry {
        None => {
            let written = format!("/v2/{repository}/{kind}/{name}");
            let again = parse(&written);
            (written, again)
        }
        Some(registry) => {
            let written = format!("/v2/{registry}/{repository}/{kind}/{name}");
            let again = parse_with_registry(&written);
            (written, again)
        }
    };
    assert_eq!(again.as_ref(), Some(asked), "{written}");
    let mut way = DefaultHasher::new();
    let by_digest = matches!(
        asked.object,
        RequestedObject::Blob(_) | RequestedObject::Manifest(TagOrDigest::Digest(_))
    );
    (
        kind,
        by_digest,
        asked.registry.is_some(),
        repository.split('/').count().min(6),
        name.len().ilog2(),
    )
        .hash(&mut way);
    way.finish()
}
