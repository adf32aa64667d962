//! Digests of manifests by sha512, and by algorithms that cannot be verified.

use http::Method;
use oci::{Credential, Digest, DigestAlgorithm, RegistryError, TagOrDigest};

use crate::server::{MANIFEST, OCI_MANIFEST, Server, answer, repository, tag};

const UNKNOWN: &str = "blake3:0000";

fn sha512() -> Digest {
    DigestAlgorithm::Sha512.digest(MANIFEST)
}

/// A registry that names this digest for every manifest.
async fn naming(digest: impl ToString) -> Server {
    let digest = digest.to_string();
    Server::start(move |_| {
        let headers = [
            ("content-type", OCI_MANIFEST),
            ("docker-content-digest", digest.as_str()),
        ];
        answer(200, &headers, MANIFEST)
    })
    .await
}

async fn get(server: &Server, wanted: &TagOrDigest) -> Result<Digest, RegistryError> {
    let registry = server.registry();
    let repository = repository();
    let got = registry.manifest(&repository, wanted, &Credential::Anonymous);
    got.await.map(|found| found.digest)
}

async fn head(server: &Server, wanted: &TagOrDigest) -> Result<Digest, RegistryError> {
    let registry = server.registry();
    let repository = repository();
    let got = registry.manifest_head(&repository, wanted, &Credential::Anonymous);
    got.await.map(|found| found.digest)
}

#[tokio::test]
async fn a_tag_has_the_sha512_digest_that_the_registry_names() {
    let server = naming(sha512()).await;
    assert_eq!(head(&server, &tag("1")).await, Ok(sha512()));
    assert_eq!(get(&server, &tag("1")).await, Ok(sha512()));
    let lies = naming(DigestAlgorithm::Sha512.digest(b"something else")).await;
    let error = get(&lies, &tag("1")).await.unwrap_err();
    assert!(matches!(error, RegistryError::WrongBytes { .. }), "{error}");
}

#[tokio::test]
async fn a_manifest_is_verified_by_the_algorithm_of_the_requested_digest() {
    for named in [sha512(), Digest::of(MANIFEST)] {
        let server = naming(&named).await;
        for right in [sha512(), Digest::of(MANIFEST)] {
            let wanted = TagOrDigest::Digest(right.clone());
            assert_eq!(head(&server, &wanted).await, Ok(right.clone()));
            assert_eq!(get(&server, &wanted).await, Ok(right));
        }
        let other = TagOrDigest::Digest(DigestAlgorithm::Sha512.digest(b"something else"));
        let error = get(&server, &other).await.unwrap_err();
        assert!(matches!(error, RegistryError::WrongBytes { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_tag_whose_digest_cannot_be_verified_is_refused_after_one_request() {
    let server = naming(UNKNOWN).await;
    for (answer, method) in [
        (head(&server, &tag("1")).await, Method::HEAD),
        (get(&server, &tag("1")).await, Method::GET),
    ] {
        let error = answer.unwrap_err();
        assert!(
            matches!(&error, RegistryError::UnknownAlgorithm { algorithm, .. } if algorithm == "blake3"),
            "{method}: {error}"
        );
        assert!(!error.is_worth_retrying() && !error.is_outage());
    }
    assert_eq!(server.requests().len(), 2);
    // By a digest that can be verified, the header does not matter.
    let wanted = TagOrDigest::Digest(sha512());
    assert_eq!(get(&server, &wanted).await, Ok(sha512()));
    assert_eq!(head(&server, &wanted).await, Ok(sha512()));
}

#[tokio::test]
async fn a_damaged_header_counts_as_none() {
    for damaged in ["", "sha256:00", "sha512:00", "no digest"] {
        let server = naming(damaged).await;
        assert_eq!(get(&server, &tag("1")).await, Ok(Digest::of(MANIFEST)));
    }
}
