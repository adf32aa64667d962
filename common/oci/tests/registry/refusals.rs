//! Each kind of refusal and failure of a registry.

use std::time::Duration;

use oci::{Credential, RegistryError, RegistrySettings, Side};

use crate::server::{Server, ann, answer, manifest, reach, reach_within, repository, short_limits, tag};

async fn refused_with(
    status: u16,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
) -> RegistryError {
    let server = Server::start(move |_| answer(status, headers, body)).await;
    let refused = server
        .registry()
        .manifest(&repository(), &tag("1"), &Credential::Anonymous)
        .await;
    refused.expect_err("a refusal")
}

#[tokio::test]
async fn a_missing_image_is_named_with_the_registrys_text() {
    let body = r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest\u001b[31m unknown"}]}"#;
    let error = refused_with(404, &[], body).await;
    let RegistryError::NotFound { requested, response } = &error else {
        panic!("{error}")
    };
    assert_eq!(requested.object, "manifest 1 of p/app");
    assert_eq!(response.status, 404);
    assert_eq!(response.words, "MANIFEST_UNKNOWN: manifest [31m unknown");
    assert_eq!(
        (error.side(), error.is_worth_retrying(), error.is_outage()),
        (Side::Caller, false, false)
    );
}

#[tokio::test]
async fn a_missing_credential_and_a_wrong_one_are_different_errors() {
    let basic = &[("www-authenticate", "Basic realm=\"r\"")];
    let error = refused_with(401, basic, "").await;
    assert!(matches!(error, RegistryError::NoCredential { .. }), "{error}");

    let server = Server::start(move |_| answer(401, basic, "bad password")).await;
    let error = server
        .registry()
        .manifest(&repository(), &tag("1"), &ann())
        .await
        .unwrap_err();
    assert!(matches!(error, RegistryError::WrongCredential { .. }), "{error}");
    assert_eq!(error.side(), Side::Caller);
    assert!(!format!("{error} {error:?}").contains("pw"));
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_forbidden_image_is_the_callers_side() {
    let error = refused_with(403, &[], "denied").await;
    assert!(matches!(error, RegistryError::Forbidden { .. }), "{error}");
    assert_eq!(error.side(), Side::Caller);
}

#[tokio::test]
async fn too_many_requests_says_how_long_to_wait() {
    let error = refused_with(429, &[("retry-after", "7")], "").await;
    assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
    assert!(error.is_worth_retrying() && !error.is_outage());
}

#[tokio::test]
async fn a_server_error_is_an_outage_and_worth_a_retry() {
    for status in [500, 502, 503] {
        let error = refused_with(status, &[], "<html>").await;
        assert!(error.is_outage() && error.is_worth_retrying(), "{error}");
        assert_eq!((error.side(), error.status()), (Side::Registry, Some(status)));
    }
}

#[tokio::test]
async fn a_long_error_text_is_truncated() {
    let error = refused_with(500, &[], Box::leak("no ".repeat(100_000).into_boxed_str())).await;
    assert!(error.to_string().len() < 500);
}

#[tokio::test]
async fn missing_headers_time_out() {
    let server = Server::start(|_| manifest()).await;
    let registry = reach_within(server.settings(), short_limits());
    let error = registry
        .manifest(&repository(), &tag("hang"), &Credential::Anonymous)
        .await
        .unwrap_err();
    assert!(matches!(error, RegistryError::TimedOut { .. }), "{error}");
    assert!(error.is_outage());
    assert_eq!(error.side(), Side::Network);
}

#[tokio::test]
async fn a_closed_port_is_an_outage() {
    let closed_port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let name = closed_port.to_string().parse().unwrap();
    let settings = RegistrySettings {
        plain_http: true,
        ..RegistrySettings::new(name)
    };
    let registry = reach(settings);
    let error = registry
        .manifest(&repository(), &tag("1"), &Credential::Anonymous)
        .await
        .unwrap_err();
    let RegistryError::Unreachable { cause, .. } = &error else {
        panic!("{error}");
    };
    assert!(
        matches!(cause, oci::ConnectFault::Other(text) if text.contains("refused")),
        "{error}"
    );
}

#[tokio::test]
async fn a_redirect_loop_ends() {
    let server = Server::start(|request| answer(307, &[("location", &request.path)], "")).await;
    let error = server
        .registry()
        .manifest(&repository(), &tag("1"), &Credential::Anonymous)
        .await
        .unwrap_err();
    assert!(matches!(error, RegistryError::BadRedirect { .. }), "{error}");
    assert_eq!(server.requests().len(), 6);
}

#[tokio::test]
async fn a_redirect_to_an_invalid_url_is_refused() {
    for location in ["file:///etc/passwd", "", "http://ann:pw@127.0.0.1/"] {
        let server = Server::start(move |_| answer(302, &[("location", location)], "")).await;
        let result = server
            .registry()
            .manifest(&repository(), &tag("1"), &Credential::Anonymous)
            .await;
        assert!(
            matches!(result, Err(RegistryError::BadRedirect { .. })),
            "{location}: {result:?}"
        );
    }
}
