use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use oci::RequestedList;

use super::{Fuzzing, Tried};
use crate::front::path::{RequestedObject, RequestedPath, parse, parse_with_registry};

const SAMPLES: [&str; 8] = [
    "/v2/library/nginx/manifests/1.27",
    "/v2/a/blobs/sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "/v2/a/b/c/manifests/sha256%3Ae3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "/v2/v2/manifests/blobs/manifests/x",
    "/v2/a/tags/list",
    "/v2/a/referrers/sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
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

fn check(asked: &RequestedPath) -> u64 {
    let (registry, repository) = match asked {
        RequestedPath::Object(object) => (&object.registry, &object.repository),
        RequestedPath::List(list) => (&list.registry, &list.repository),
    };
    let repository = repository.as_str();
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
    let Some((kind, name)) = end_of(asked) else {
        return 1;
    };
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"._-:+=".contains(&byte);
    assert!(
        name.bytes().all(safe) && name != "." && name != ".." && !name.is_empty(),
        "{name:?}"
    );
    let (written, again) = match registry {
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
    let by_digest = name.contains(':');
    (
        kind,
        by_digest,
        registry.is_some(),
        repository.split('/').count().min(6),
        name.len().ilog2(),
    )
        .hash(&mut way);
    way.finish()
}

/// Returns the last two parts of the path; none for referrers of something that is no digest.
fn end_of(asked: &RequestedPath) -> Option<(&'static str, String)> {
    match asked {
        RequestedPath::Object(object) => Some(match &object.object {
            RequestedObject::Manifest(wanted) => ("manifests", wanted.to_string()),
            RequestedObject::Blob(digest) => ("blobs", digest.to_string()),
        }),
        RequestedPath::List(list) => Some(match list.list.as_ref()? {
            RequestedList::Tags => ("tags", "list".to_owned()),
            RequestedList::Referrers(subject) => ("referrers", subject.to_string()),
        }),
    }
}
