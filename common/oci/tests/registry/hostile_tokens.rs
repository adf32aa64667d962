//! Hostile token servers.

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::StreamExt as _;
use oci::{RegistryError, RegistryLimits};
use tokio::time::timeout;

use crate::server::{
    RecordedRequest, Server, ann, answer, manifest, reach_within, repository, short_limits, tag,
};

/// A registry that answers `/token` with `token`.
async fn with_tokens(token: impl Fn(&RecordedRequest) -> Response + Clone + Send + Sync + 'static) -> Server {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    Server::on(
        listener,
        address,
        move |request: &RecordedRequest| match request.authorization.as_deref() {
            _ if request.path.starts_with("/token") => token(request),
            Some("Bearer good") => manifest(),
            _ => {
                let realm = format!("Bearer realm=\"http://{address}/token\",service=\"s\"");
                answer(401, &[("www-authenticate", &realm)], "")
            }
        },
    )
}

async fn failed_pull(server: &Server, limits: RegistryLimits) -> RegistryError {
    let registry = reach_within(server.settings(), limits);
    let (repository, wanted, ann) = (repository(), tag("1"), ann());
    let pull = registry.manifest(&repository, &wanted, &ann);
    let ended = timeout(Duration::from_secs(60), pull).await;
    let error = ended.expect("the pull ends").expect_err("no token");
    assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
    error
}

fn endless(pause: Duration) -> Body {
    let pieces = futures_util::stream::repeat(()).then(move |()| async move {
        tokio::time::sleep(pause).await;
        Ok::<_, std::io::Error>(Bytes::from_static(b"                  "))
    });
    Body::from_stream(pieces)
}

#[tokio::test]
async fn a_huge_token_response_is_not_read() {
    let announced = with_tokens(|_| answer(200, &[], "x".repeat(1 << 20))).await;
    let endless = with_tokens(|_| answer(200, &[], endless(Duration::ZERO))).await;
    for server in [announced, endless] {
        let error = failed_pull(&server, RegistryLimits::default()).await;
        // The limit of a manifest is larger than both bodies.
        assert!(
            matches!(error, RegistryError::TooLarge { limit, .. } if limit < 1 << 20),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_slow_token_response_times_out() {
    let patient_with_headers = RegistryLimits {
        header_wait: RegistryLimits::default().header_wait,
        ..short_limits()
    };
    let server = with_tokens(|_| answer(200, &[], endless(Duration::from_millis(50)))).await;
    let error = failed_pull(&server, patient_with_headers).await;
    assert!(matches!(error, RegistryError::TimedOut { .. }), "{error}");
}

#[tokio::test]
async fn invalid_json_is_not_repeated() {
    for body in [
        "s3cret",
        r#"{"token":["s3cret"]}"#,
        r#"{"token":{"s3cret":1}}"#,
        r#"{"Token":"s3cret"}"#,
        r#"{"token":"s3cret\r\nx: y"}"#,
        r#"["s3cret"]"#,
        "{\"token\":\"s3cret\u{0}\"}",
    ] {
        let server = with_tokens(move |_| answer(200, &[], body)).await;
        let error = failed_pull(&server, RegistryLimits::default()).await;
        assert!(matches!(error, RegistryError::BadToken { .. }), "{body}: {error}");
    }
}

#[tokio::test]
async fn a_token_server_that_redirects_is_not_followed() {
    let thief = Server::start(|_| answer(200, &[], r#"{"token":"good"}"#)).await;
    let away = format!("http://localhost:{}/token", thief.address.port());
    for target in [away.as_str(), "/token", "/token/2"] {
        let target = target.to_owned();
        let server = with_tokens(move |_| answer(307, &[("location", &target)], "")).await;
        let error = failed_pull(&server, RegistryLimits::default()).await;
        assert!(matches!(error, RegistryError::BadRedirect { .. }), "{error}");
        assert_eq!(
            server
                .requests()
                .iter()
                .filter(|request| request.path.starts_with("/token"))
                .count(),
            1
        );
    }
    assert!(thief.requests().is_empty());
}

#[tokio::test]
async fn a_foreign_realm_is_refused_and_gets_no_request() {
    let thief = Server::start(|_| answer(200, &[], r#"{"token":"good"}"#)).await;
    let port = thief.address.port();
    for realm in [
        format!("http://localhost:{port}/token"),
        format!("http://ann:s3cret@127.0.0.1:{port}/token"),
        format!("http://127.0.0.1.nip.io:{port}/token"),
        "file:///etc/passwd".to_owned(),
        "gopher://x".to_owned(),
        "not a url".to_owned(),
        format!("//127.0.0.1:{port}/token"),
    ] {
        let challenge = format!("Bearer realm=\"{realm}\"");
        let server = Server::start(move |_| answer(401, &[("www-authenticate", &challenge)], "")).await;
        let registry = reach_within(server.settings(), RegistryLimits::default());
        let error = registry
            .manifest(&repository(), &tag("1"), &ann())
            .await
            .unwrap_err();
        assert!(
            matches!(error, RegistryError::UnsafeRealm { .. }),
            "{realm}: {error}"
        );
        assert!(!error.what_to_do().is_empty());
    }
    assert!(thief.requests().is_empty(), "{:?}", thief.requests());
}

#[tokio::test]
async fn an_unreadable_challenge_is_a_refusal() {
    let long = format!("Bearer realm=\"http://127.0.0.1/{}\"", "x".repeat(20_000));
    for challenge in ["", "Bearer", "Negotiate", "Bearer service=\"x\"", "=,=,=", &long] {
        let challenge = challenge.to_owned();
        let server = Server::start(move |_| answer(401, &[("www-authenticate", &challenge)], "")).await;
        let registry = reach_within(server.settings(), RegistryLimits::default());
        let error = registry
            .manifest(&repository(), &tag("1"), &ann())
            .await
            .unwrap_err();
        assert!(matches!(error, RegistryError::WrongCredential { .. }), "{error}");
        assert!(
            server
                .requests()
                .iter()
                .all(|request| request.authorization.is_none())
        );
    }
}
