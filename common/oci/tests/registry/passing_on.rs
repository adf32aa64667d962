//! Forwarded requests: with the client's `Authorization` or none; any status is a response.

use std::time::Duration;

use oci::{Digest, ForwardedObject, ForwardedRequest, Probe, RegistryError, RegistrySettings, Secret};

use crate::server::{Server, answer, manifest, reach, repository, tag};

fn forwarded(wanted: &str) -> ForwardedRequest {
    ForwardedRequest {
        method: http::Method::GET,
        repository: repository(),
        kind: ForwardedObject::Manifest { wanted: tag(wanted) },
        authorization: None,
        accept: vec!["a/b".into(), "*/*".into()],
        limit: Duration::from_secs(20),
    }
}

#[tokio::test]
async fn any_status_is_a_response_and_no_sign_in_follows() {
    let server = Server::start(|_| answer(401, &[("www-authenticate", "Basic realm=r")], "")).await;
    let response = server.registry().forward(forwarded("1")).await.unwrap();
    assert_eq!(response.status(), 401);
    assert!(response.headers().contains_key("www-authenticate"));
    let requests = server.requests();
    assert_eq!(
        (requests.len(), requests[0].accept.as_deref()),
        (1, Some("a/b, */*"))
    );
}

#[tokio::test]
async fn the_clients_authorization_is_forwarded_but_not_to_storage() {
    let storage = Server::start(|_| answer(200, &[], "bytes")).await;
    let target = format!("http://localhost:{}/bucket", storage.address.port());
    let server = Server::start(move |_| answer(302, &[("location", &target)], "")).await;
    let kind = ForwardedObject::Blob {
        digest: Digest::of(b"bytes"),
    };
    let request = ForwardedRequest {
        kind,
        authorization: Some(Secret::new("Bearer mine")),
        ..forwarded("1")
    };
    assert_eq!(server.registry().forward(request).await.unwrap().status(), 200);
    assert_eq!(server.requests()[0].authorization.as_deref(), Some("Bearer mine"));
    assert_eq!(storage.requests()[0].authorization, None);
}

#[tokio::test]
async fn a_missing_response_times_out() {
    let server = Server::start(|_| manifest()).await;
    let short = ForwardedRequest {
        limit: Duration::from_millis(300),
        ..forwarded("hang")
    };
    let error = server.registry().forward(short).await.unwrap_err();
    assert!(
        matches!(error, RegistryError::TimedOut { .. }) && error.is_outage(),
        "{error}"
    );
}

#[tokio::test]
async fn only_reads_are_forwarded() {
    let server = Server::start(|_| manifest()).await;
    let delete = ForwardedRequest {
        method: http::Method::DELETE,
        ..forwarded("1")
    };
    assert!(server.registry().forward(delete).await.is_err());
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn the_first_byte_is_requested_as_a_range() {
    let server = Server::start(|_| answer(206, &[("content-range", "bytes 0-0/5")], "b")).await;
    let request = ForwardedRequest {
        kind: ForwardedObject::FirstByte {
            digest: Digest::of(b"bytes"),
        },
        accept: vec![],
        ..forwarded("1")
    };
    assert_eq!(server.registry().forward(request).await.unwrap().status(), 206);
    assert_eq!(server.requests()[0].range.as_deref(), Some("bytes=0-0"));
}

#[tokio::test]
async fn a_probe_distinguishes_a_response_from_none() {
    let server = Server::start(|_| answer(502, &[], "")).await;
    let limit = Duration::from_secs(20);
    let registry = server.registry();
    assert_eq!(
        registry.probe(limit).await,
        Probe::Answered(http::StatusCode::BAD_GATEWAY)
    );
    let requests = server.requests();
    assert_eq!(
        (requests[0].path.as_str(), &requests[0].authorization),
        ("/v2/", &None)
    );
    assert_eq!(registry.server(), format!("http://{}", server.address));
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed_port = free.local_addr().unwrap();
    drop(free);
    let settings = RegistrySettings {
        plain_http: true,
        ..RegistrySettings::new(closed_port.to_string().parse().unwrap())
    };
    assert_eq!(reach(settings).probe(limit).await, Probe::Nothing);
}
