//! Redirects to storage: URLs that expire, and data that other hosts must not get.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::response::Response;
use futures_util::TryStreamExt as _;
use oci::{Digest, ForwardedObject, ForwardedRequest, Registry, RegistryError};

use crate::server::{RecordedRequest, Server, ann, answer, repository};

const BLOB: &str = "0123456789";
const BASIC: &[(&str, &str)] = &[("www-authenticate", "Basic realm=r")];

/// A registry that signs a new URL for each authorized request; `storage` gets the number of the URL.
async fn signing(
    storage: impl Fn(&RecordedRequest, usize) -> Response + Clone + Send + Sync + 'static,
) -> (Server, Server) {
    let storage = Server::start(move |request| {
        let number = request
            .query
            .rsplit('=')
            .next()
            .and_then(|number| number.parse().ok());
        storage(request, number.unwrap())
    })
    .await;
    let target = format!("http://localhost:{}/bucket?signature", storage.address.port());
    let signed = Arc::new(AtomicUsize::new(0));
    let registry = Server::start(move |request| {
        if request.authorization.is_none() {
            return answer(401, BASIC, "");
        }
        let number = signed.fetch_add(1, Ordering::SeqCst);
        answer(307, &[("location", &format!("{target}={number}"))], "")
    })
    .await;
    (registry, storage)
}

async fn read(registry: &Registry, from: u64) -> Result<String, RegistryError> {
    let blob = registry
        .blob(&repository(), &Digest::of(b""), from, &ann())
        .await?;
    let pieces: Vec<_> = blob.stream.try_collect().await?;
    Ok(String::from_utf8(pieces.concat()).unwrap())
}

#[tokio::test]
async fn an_expired_url_is_requested_again() {
    for status in [400, 401, 403] {
        let (server, storage) = signing(move |request, number| {
            if number == 0 {
                return answer(status, BASIC, "<Error><Code>AccessDenied</Code></Error>");
            }
            assert_eq!(request.range.as_deref(), Some("bytes=4-"));
            answer(206, &[("content-range", "bytes 4-9/10")], &BLOB[4..])
        })
        .await;
        assert_eq!(read(&server.registry(), 4).await.unwrap(), "456789", "{status}");
        assert!(
            storage
                .requests()
                .iter()
                .all(|request| request.authorization.is_none())
        );
    }
}

#[tokio::test]
async fn storage_that_always_refuses_is_the_registrys_failure_after_three_tries() {
    let (server, storage) = signing(|_, _| answer(403, &[], "the key is s3cret")).await;
    let error = read(&server.registry(), 0).await.unwrap_err();
    assert!(matches!(error, RegistryError::StorageRefused { .. }), "{error}");
    assert_eq!(error.side(), oci::Side::Registry);
    assert!(error.to_string().contains("localhost"), "{error}");
    assert!(!error.to_string().contains("signature"), "{error}");
    assert_eq!(storage.requests().len(), 3);
}

#[tokio::test]
async fn a_challenge_of_another_host_is_not_answered() {
    let thief = Server::start(|_| answer(200, &[], r#"{"token":"good"}"#)).await;
    let realm = format!("Bearer realm=\"http://127.0.0.1:{}/token\"", thief.address.port());
    let (server, storage) =
        signing(move |_, _| answer(401, &[("www-authenticate", realm.as_str())], "sign in here")).await;
    let error = read(&server.registry(), 0).await.unwrap_err();
    assert!(matches!(error, RegistryError::StorageRefused { .. }), "{error}");
    assert!(thief.requests().is_empty(), "{:?}", thief.requests());
    assert!(
        storage
            .requests()
            .iter()
            .all(|request| request.authorization.is_none())
    );
}

#[tokio::test]
async fn what_storage_refuses_is_not_relayed_as_the_registrys_word() {
    let (server, _storage) = signing(|_, _| answer(403, &[], "")).await;
    let forwarded = ForwardedRequest {
        method: http::Method::HEAD,
        repository: repository(),
        kind: ForwardedObject::Blob {
            digest: Digest::of(b""),
        },
        authorization: ann().authorization(),
        accept: vec![],
        limit: std::time::Duration::from_secs(20),
    };
    let error = server.registry().forward(forwarded).await.unwrap_err();
    assert!(error.is_outage(), "{error}");
}

#[tokio::test]
async fn a_redirect_back_does_not_bring_the_credential_back() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let back = format!("http://{address}/back");
    let storage = Server::start(move |_| answer(307, &[("location", back.as_str())], "")).await;
    let target = format!("http://localhost:{}/away", storage.address.port());
    let server = Server::on(listener, address, move |request: &RecordedRequest| {
        match (request.path.as_str(), &request.authorization) {
            ("/back", _) => answer(200, &[], BLOB),
            (_, None) => answer(401, BASIC, ""),
            _ => answer(307, &[("location", &target)], ""),
        }
    });
    assert_eq!(read(&server.registry(), 0).await.unwrap(), BLOB);
    let back = server
        .requests()
        .into_iter()
        .find(|request| request.path == "/back");
    assert_eq!(back.unwrap().authorization, None);
}

#[tokio::test]
async fn an_interrupted_transfer_resumes_with_a_new_url_and_a_new_token() {
    let storage = Server::start(
        |request| match (request.query.as_str(), request.range.as_deref()) {
            ("address=0", None) => answer(
                200,
                &[("content-length", "10")],
                crate::server::broken_body("0123", false),
            ),
            ("address=1", Some("bytes=4-")) => answer(206, &[("content-range", "bytes 4-9/10")], &BLOB[4..]),
            _ => answer(403, &[], "this address has ended"),
        },
    )
    .await;
    let target = format!("http://localhost:{}/bucket?address", storage.address.port());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let tokens = Arc::new(AtomicUsize::new(0));
    // Every token is good for one request only.
    let server = Server::on(listener, address, move |request: &RecordedRequest| {
        let given = tokens.load(Ordering::SeqCst);
        match request.authorization.as_deref() {
            _ if request.path == "/token" => {
                tokens.store(given + 1, Ordering::SeqCst);
                answer(200, &[], format!(r#"{{"token":"t{given}","expires_in":300}}"#))
            }
            Some(shown) if request.range.is_some() == (shown == "Bearer t1") && given > 0 => {
                answer(307, &[("location", &format!("{target}={}", given - 1))], "")
            }
            _ => {
                let realm = format!("Bearer realm=\"http://{address}/token\"");
                answer(401, &[("www-authenticate", &realm)], "")
            }
        }
    });
    let registry = server.registry();
    let digest = Digest::of(BLOB.as_bytes());
    let mut got = Vec::new();
    let mut breaks = 0;
    while got.len() < BLOB.len() {
        let from = got.len() as u64;
        let mut blob = registry
            .blob(&repository(), &digest, from, &ann())
            .await
            .unwrap()
            .stream;
        loop {
            match blob.try_next().await {
                Ok(Some(piece)) => got.extend_from_slice(&piece),
                Ok(None) => break,
                Err(error) => {
                    assert!(error.is_worth_retrying(), "{error}");
                    breaks += 1;
                    break;
                }
            }
        }
    }
    assert_eq!((Digest::of(&got), breaks), (digest, 1));
    assert!(
        storage
            .requests()
            .iter()
            .all(|request| request.authorization.is_none())
    );
}

#[tokio::test]
async fn the_text_of_another_host_is_never_repeated() {
    for status in [400, 401, 403, 404, 409, 416, 429, 500, 503] {
        let storage = Server::start(move |_| {
            let body = r#"{"errors":[{"code":"s3cret","message":"s3cret"}]}"#;
            answer(
                status,
                &[("x-inside", "s3cret"), ("content-encoding", "s3cret")],
                body,
            )
        })
        .await;
        let target = format!("http://localhost:{}/inside", storage.address.port());
        let server = Server::start(move |_| answer(307, &[("location", &target)], "")).await;
        let manifest = server
            .registry()
            .manifest(&repository(), &crate::server::tag("1"), &ann())
            .await;
        let blob = server
            .registry()
            .blob_head(&repository(), &Digest::of(b""), &ann())
            .await;
        for error in [manifest.unwrap_err(), blob.unwrap_err()] {
            let texts = format!("{error} {error:?} {}", error.what_to_do());
            assert!(!texts.contains("s3cret"), "{status}: {texts}");
            assert!(texts.contains("localhost"), "{status}: {texts}");
        }
        let forwarded = ForwardedRequest {
            method: http::Method::GET,
            repository: repository(),
            kind: ForwardedObject::Blob {
                digest: Digest::of(b""),
            },
            authorization: None,
            accept: vec![],
            limit: std::time::Duration::from_secs(20),
        };
        // Some refusals are errors here. The loop above checks those.
        if let Ok(relayed) = server.registry().forward(forwarded).await {
            assert_eq!(relayed.status().as_u16(), status);
            assert!(!format!("{:?}", relayed.headers()).contains("s3cret"), "{status}");
            assert_eq!(relayed.text().await.unwrap(), "", "{status}");
        }
    }
}

#[tokio::test]
async fn a_content_coding_of_another_host_is_not_repeated() {
    let storage = Server::start(|_| answer(200, &[("content-encoding", "s3cret")], BLOB)).await;
    let target = format!("http://localhost:{}/inside", storage.address.port());
    let server = Server::start(move |_| answer(307, &[("location", &target)], "")).await;
    let registry = server.registry();
    let error = registry
        .manifest(&repository(), &crate::server::tag("1"), &ann())
        .await
        .unwrap_err();
    assert!(!error.to_string().contains("s3cret"), "{error}");
}
