//! Response bodies that are short, wrong, too long, redirected, or start at another offset.

use futures_util::TryStreamExt as _;
use oci::{BlobPart, ByteStream, Credential, Digest, RegistryError, RegistryLimits, TagOrDigest};

use crate::server::{
    MANIFEST, OCI_MANIFEST, Server, ann, answer, broken_body, manifest, reach_within, repository,
    short_limits, tag,
};

const BLOB: &str = "0123456789";

async fn read(stream: ByteStream) -> Result<String, RegistryError> {
    let chunks: Vec<_> = stream.stream.try_collect().await?;
    Ok(String::from_utf8(chunks.concat()).unwrap())
}

#[tokio::test]
async fn a_manifest_has_its_digest_and_type() {
    let server = Server::start(|_| manifest()).await;
    let found = server
        .registry()
        .manifest(&repository(), &tag("1"), &Credential::Anonymous)
        .await
        .unwrap();
    assert_eq!(
        (&*found.bytes, found.media_type.as_str()),
        (MANIFEST, OCI_MANIFEST)
    );
    assert_eq!(found.digest, Digest::of(MANIFEST));
    let accept = server.requests()[0].accept.clone().unwrap();
    assert!(
        oci::MANIFEST_ACCEPT
            .iter()
            .all(|media_type| accept.contains(media_type))
    );
}

#[tokio::test]
async fn a_manifest_with_another_digest_is_refused() {
    let server = Server::start(|_| answer(200, &[("content-type", OCI_MANIFEST)], MANIFEST)).await;
    let wanted = TagOrDigest::Digest(Digest::of(b"something else"));
    let error = server
        .registry()
        .manifest(&repository(), &wanted, &Credential::Anonymous)
        .await
        .unwrap_err();
    assert!(matches!(error, RegistryError::WrongBytes { .. }), "{error}");

    let lie = Digest::of(b"something else").to_string();
    let server = Server::start(move |_| answer(200, &[("docker-content-digest", &lie)], MANIFEST)).await;
    let error = server
        .registry()
        .manifest(&repository(), &tag("1"), &Credential::Anonymous)
        .await
        .unwrap_err();
    assert!(matches!(error, RegistryError::WrongBytes { .. }), "{error}");
}

#[tokio::test]
async fn an_oversized_manifest_is_not_read_to_its_end() {
    let with_length = Server::start(|_| answer(200, &[], "x".repeat(1_001))).await;
    let without_length = Server::start(|_| {
        let chunks = futures_util::stream::repeat(Ok::<_, std::convert::Infallible>("x".repeat(100)));
        answer(200, &[], axum::body::Body::from_stream(chunks))
    })
    .await;
    for server in [with_length, without_length] {
        let error = server
            .registry()
            .manifest(&repository(), &tag("1"), &Credential::Anonymous)
            .await
            .unwrap_err();
        assert!(
            matches!(error, RegistryError::TooLarge { limit: 1_000, .. }),
            "{error}"
        );
    }
}

#[tokio::test]
async fn an_interrupted_body_never_looks_complete() {
    let server =
        Server::start(|_| answer(200, &[("content-length", "10")], broken_body("01234", false))).await;
    let registry = server.registry();
    let error = registry
        .manifest(&repository(), &tag("1"), &Credential::Anonymous)
        .await
        .unwrap_err();
    assert!(
        matches!(error, RegistryError::CutShort { received: 5, .. }),
        "{error}"
    );
    let blob = registry
        .blob(&repository(), &Digest::of(b""), 0, &Credential::Anonymous)
        .await
        .unwrap();
    assert_eq!(blob.total, Some(10));
    let error = read(blob).await.unwrap_err();
    assert!(
        matches!(error, RegistryError::CutShort { received: 5, .. }),
        "{error}"
    );
    assert!(error.is_worth_retrying());
}

#[tokio::test]
async fn a_stalled_body_times_out() {
    let server =
        Server::start(|_| answer(200, &[("content-length", "10")], broken_body("01234", true))).await;
    let patient_with_headers = RegistryLimits {
        header_wait: RegistryLimits::default().header_wait,
        ..short_limits()
    };
    let registry = reach_within(server.settings(), patient_with_headers);
    let error = registry
        .manifest(&repository(), &tag("1"), &Credential::Anonymous)
        .await
        .unwrap_err();
    assert!(matches!(error, RegistryError::TimedOut { .. }), "{error}");
    let blob = registry
        .blob(&repository(), &Digest::of(b""), 0, &Credential::Anonymous)
        .await
        .unwrap();
    assert!(matches!(read(blob).await, Err(RegistryError::TimedOut { .. })));
}

#[tokio::test]
async fn an_interrupted_blob_resumes_at_its_offset() {
    let server = Server::start(|request| {
        assert_eq!(request.range.as_deref(), Some("bytes=4-"));
        answer(206, &[("content-range", "bytes 4-9/10")], &BLOB[4..])
    })
    .await;
    let blob = server
        .registry()
        .blob(&repository(), &Digest::of(b""), 4, &Credential::Anonymous)
        .await
        .unwrap();
    assert_eq!((blob.from, blob.total), (4, Some(10)));
    assert_eq!(read(blob).await.unwrap(), "456789");
}

#[tokio::test]
async fn a_registry_that_ignores_ranges_is_read_from_the_start() {
    let server = Server::start(|_| answer(200, &[], BLOB)).await;
    let blob = server
        .registry()
        .blob(&repository(), &Digest::of(b""), 4, &Credential::Anonymous)
        .await
        .unwrap();
    assert_eq!((blob.from, blob.total), (4, Some(10)));
    assert_eq!(read(blob).await.unwrap(), "456789");
}

#[tokio::test]
async fn another_range_than_the_requested_one_is_refused() {
    for range in ["bytes 3-9/10", "bytes 4-12/10", "bytes 4-3/10", "junk"] {
        let server = Server::start(move |_| answer(206, &[("content-range", range)], BLOB)).await;
        let result = server
            .registry()
            .blob(&repository(), &Digest::of(b""), 4, &Credential::Anonymous)
            .await;
        assert!(matches!(result, Err(RegistryError::BadAnswer { .. })), "{range}");
    }
}

#[tokio::test]
async fn a_part_that_is_shorter_than_announced_is_cut_short() {
    let server = Server::start(|_| answer(206, &[("content-range", "bytes 4-9/10")], "45")).await;
    let blob = server
        .registry()
        .blob(&repository(), &Digest::of(b""), 4, &Credential::Anonymous)
        .await
        .unwrap();
    assert!(matches!(
        read(blob).await,
        Err(RegistryError::CutShort { received: 2, .. })
    ));
}

#[tokio::test]
async fn a_blobs_bytes_are_read_whatever_their_label() {
    for coding in ["gzip", "x-gzip", "Identity", "aws-chunked"] {
        let server = Server::start(move |_| answer(200, &[("content-encoding", coding)], BLOB)).await;
        let blob = server
            .registry()
            .blob(&repository(), &Digest::of(b""), 0, &Credential::Anonymous)
            .await
            .unwrap();
        assert_eq!(read(blob).await.unwrap(), BLOB, "{coding}");
        let encodings = server.requests()[0].accept_encoding.clone();
        assert_eq!(encodings.as_deref(), Some("identity"));
    }
}

#[tokio::test]
async fn an_encoded_manifest_without_a_promised_digest_is_refused() {
    let server = Server::start(|_| answer(200, &[("content-encoding", "gzip")], MANIFEST)).await;
    let registry = server.registry();
    let found = registry
        .manifest(&repository(), &tag("1"), &Credential::Anonymous)
        .await;
    assert!(matches!(found, Err(RegistryError::BadAnswer { .. })));
    let by_digest = TagOrDigest::Digest(Digest::of(MANIFEST));
    let found = registry
        .manifest(&repository(), &by_digest, &Credential::Anonymous)
        .await;
    assert_eq!(&*found.unwrap().bytes, MANIFEST);
}

#[tokio::test]
async fn a_refused_range_leads_to_the_whole() {
    let server = Server::start(|request| match request.range {
        Some(_) => answer(416, &[], ""),
        None => answer(200, &[], BLOB),
    })
    .await;
    let blob = server
        .registry()
        .blob(&repository(), &Digest::of(b""), 4, &Credential::Anonymous)
        .await
        .unwrap();
    assert_eq!((blob.from, blob.total, blob.is_part), (4, Some(10), false));
    assert_eq!(read(blob).await.unwrap(), "456789");
}

#[tokio::test]
async fn a_refused_or_empty_head_of_a_blob_does_not_decide() {
    for (status, length) in [(403, "0"), (404, "0"), (405, "0"), (501, "0"), (200, "0")] {
        let server = Server::start(move |request| match &request.range {
            Some(range) => {
                assert_eq!(range, "bytes=0-0");
                answer(206, &[("content-range", "bytes 0-0/10")], "0")
            }
            None => answer(status, &[("content-length", length)], ""),
        })
        .await;
        let digest = Digest::of(BLOB.as_bytes());
        let size = server.registry().blob_head(&repository(), &digest, &ann()).await;
        assert_eq!(size.unwrap(), Some(10), "{status}");
    }
}

#[tokio::test]
async fn a_web_page_is_no_blob() {
    let server = Server::start(|request| match request.method.as_str() {
        "HEAD" => answer(404, &[], ""),
        _ => answer(200, &[("content-type", "Text/HTML; charset=utf-8")], "<html>"),
    })
    .await;
    let digest = Digest::of(BLOB.as_bytes());
    let size = server.registry().blob_head(&repository(), &digest, &ann()).await;
    assert!(matches!(size, Err(RegistryError::BadAnswer { .. })));
}

#[tokio::test]
async fn a_redirect_to_another_host_goes_without_the_credential() {
    let storage = Server::start(|_| answer(200, &[], BLOB)).await;
    let target = format!("http://localhost:{}/bucket?signature=x", storage.address.port());
    let server = Server::start(move |request| match request.authorization {
        None => answer(401, &[("www-authenticate", "Basic realm=r")], ""),
        Some(_) if request.path == "/same" => answer(307, &[("location", &target)], ""),
        Some(_) => answer(307, &[("location", "/same")], ""),
    })
    .await;
    let blob = server
        .registry()
        .blob(&repository(), &Digest::of(b""), 0, &ann())
        .await
        .unwrap();
    assert_eq!(read(blob).await.unwrap(), BLOB);
    assert!(server.requests().last().unwrap().authorization.is_some());
    let requests = storage.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(
        (&requests[0].authorization, requests[0].query.as_str()),
        (&None, "signature=x")
    );
}

#[tokio::test]
async fn a_head_without_headers_or_refused_becomes_a_get() {
    for status in [200, 403, 404, 405, 501] {
        let server = Server::start(move |request| match request.method.as_str() {
            "HEAD" => answer(status, &[], ""),
            _ => manifest(),
        })
        .await;
        let head = server
            .registry()
            .manifest_head(&repository(), &tag("1"), &Credential::Anonymous)
            .await
            .unwrap();
        assert_eq!(
            (head.digest, head.size),
            (Digest::of(MANIFEST), Some(MANIFEST.len() as u64))
        );
        assert_eq!(server.requests().len(), 2);
    }
}

#[tokio::test]
async fn a_head_with_headers_is_enough() {
    let server = Server::start(|_| manifest()).await;
    let head = server
        .registry()
        .manifest_head(&repository(), &tag("1"), &Credential::Anonymous)
        .await
        .unwrap();
    assert_eq!(
        (head.digest, head.media_type.as_str()),
        (Digest::of(MANIFEST), OCI_MANIFEST)
    );
    assert_eq!(head.size, Some(MANIFEST.len() as u64));
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_part_is_requested_by_its_first_and_last_byte() {
    for ignores_ranges in [false, true] {
        let server = Server::start(move |request| match (&request.range, ignores_ranges) {
            (Some(range), false) => {
                assert_eq!(range, "bytes=2-4");
                answer(206, &[("content-range", "bytes 2-4/10")], &BLOB.as_bytes()[2..5])
            }
            _ => answer(200, &[], BLOB),
        })
        .await;
        let part = BlobPart {
            from: 2,
            until: Some(5),
        };
        let blob = server
            .registry()
            .blob_part(&repository(), &Digest::of(BLOB.as_bytes()), part, &ann())
            .await
            .unwrap();
        assert_eq!(blob.total, Some(10));
        assert_eq!(read(blob).await.unwrap(), "234");
    }
}

#[tokio::test]
async fn access_to_a_blob_is_checked_without_its_bytes() {
    let server = Server::start(|request| match request.method.as_str() {
        "HEAD" => answer(200, &[("content-length", "10")], ""),
        _ => answer(500, &[], ""),
    })
    .await;
    let digest = Digest::of(BLOB.as_bytes());
    let size = server
        .registry()
        .blob_head(&repository(), &digest, &ann())
        .await
        .unwrap();
    assert_eq!(size, Some(10));
    let server = Server::start(|_| answer(404, &[], "")).await;
    let missing = server.registry().blob_head(&repository(), &digest, &ann()).await;
    assert!(missing.is_err());
}
