//! Registries and token servers that redirect from plain HTTP to HTTPS on the same host.

use axum::response::Response;
use oci::{Credential, RegistryError, RegistrySettings, Secret};
use tokio::net::TcpListener;

use crate::server::{ANN, RecordedRequest, Server, ann, answer, manifest, reach, repository, tag};
use crate::transport::tls_server;

fn redirect(to: &str, request: &RecordedRequest) -> Response {
    let query = if request.query.is_empty() { "" } else { "?" };
    let target = format!("{to}{}{query}{}", request.path, request.query);
    answer(308, &[("location", &target)], "")
}

fn issue(request: &RecordedRequest) -> Response {
    let is_ann = request.authorization.as_deref() == Some(ANN) || request.body.contains("refresh_token=idt");
    if is_ann {
        answer(200, &[], r#"{"token":"good","expires_in":300}"#)
    } else {
        answer(401, &[], "")
    }
}

/// A private registry over HTTPS whose realm is at this origin, and its CA.
fn private(listener: TcpListener, realm: String) -> (Server, String) {
    tls_server(listener, move |request: &RecordedRequest| {
        match request.authorization.as_deref() {
            _ if request.path == "/token" => issue(request),
            Some("Bearer good") => manifest(),
            _ => {
                let challenge = format!("Bearer realm=\"{realm}/token\",service=\"s\"");
                answer(401, &[("www-authenticate", &challenge)], "")
            }
        }
    })
}

async fn pull(settings: RegistrySettings, credential: &Credential) -> Result<(), RegistryError> {
    let registry = reach(settings);
    for _ in 0..2 {
        registry.manifest(&repository(), &tag("1"), credential).await?;
    }
    Ok(())
}

/// Returns the credentials that a server was shown.
fn shown(server: &Server) -> Vec<String> {
    let requests = server.requests().into_iter();
    requests.filter_map(|request| request.authorization).collect()
}

#[tokio::test]
async fn a_private_registry_that_moved_is_signed_in_at_over_https_only() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let https = format!("https://{}", listener.local_addr().unwrap());
    let (secure, authority) = private(listener, https.clone());
    let plain = Server::start(move |request| redirect(&https, request)).await;
    let settings = RegistrySettings {
        ca_pem: Some(authority),
        ..plain.settings()
    };
    pull(settings, &ann()).await.unwrap();
    // Later requests go to HTTPS at once.
    assert_eq!((plain.requests().len(), shown(&plain)), (1, vec![]));
    assert_eq!(shown(&secure), [ANN, "Bearer good", "Bearer good"]);
}

#[tokio::test]
async fn a_callers_token_follows_the_registry_to_https_on_the_same_host_only() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (secure, authority) = private(listener, String::new());
    let own = Credential::from_authorization("Bearer good");
    for (host, shown_there) in [("127.0.0.1", 2), ("localhost", 0)] {
        let target = format!("https://{host}:{port}");
        let before = shown(&secure).len();
        let plain = Server::start(move |request| redirect(&target, request)).await;
        let settings = RegistrySettings {
            ca_pem: Some(authority.clone()),
            ..plain.settings()
        };
        let result = pull(settings, &own).await;
        assert_eq!(result.is_ok(), shown_there > 0, "{host}: {result:?}");
        assert_eq!(shown(&secure).len() - before, shown_there, "{host}");
    }
}

#[tokio::test]
async fn storage_over_https_on_the_same_host_gets_no_credential() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let https = format!("https://{}", listener.local_addr().unwrap());
    let (storage, authority) = tls_server(listener, |_| manifest());
    for location in ["/v2/p/app/manifests/1?signature=x", "/bucket/1", "/"] {
        let target = format!("{https}{location}");
        let plain = Server::start(move |request| match request.authorization {
            None => answer(401, &[("www-authenticate", "Basic realm=r")], ""),
            Some(_) => answer(307, &[("location", &target)], ""),
        })
        .await;
        let settings = RegistrySettings {
            ca_pem: Some(authority.clone()),
            ..plain.settings()
        };
        pull(settings, &ann()).await.unwrap();
        assert_eq!(shown(&storage), [""; 0], "{location}");
    }
}

#[tokio::test]
async fn a_registry_that_moved_with_an_unknown_certificate_says_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let https = format!("https://{}", listener.local_addr().unwrap());
    let (secure, _) = private(listener, https.clone());
    let plain = Server::start(move |request| redirect(&https, request)).await;
    let error = pull(plain.settings(), &ann()).await.unwrap_err();
    assert!(matches!(error, RegistryError::SpeaksHttps { .. }), "{error}");
    assert!(
        error.what_to_do().contains("plain_http"),
        "{}",
        error.what_to_do()
    );
    assert_eq!(error.side(), oci::Side::Caller);
    assert!(secure.requests().is_empty() && shown(&plain).is_empty());
}

#[tokio::test]
async fn a_token_server_that_moved_is_asked_over_https() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let https = format!("https://{}", listener.local_addr().unwrap());
    let plain = Server::start(move |request| redirect(&https, request)).await;
    let (secure, authority) = private(listener, format!("http://{}", plain.address));
    for credential in [ann(), Credential::IdentityToken(Secret::new("idt"))] {
        let settings = RegistrySettings {
            ca_pem: Some(authority.clone()),
            ..RegistrySettings::new(secure.name())
        };
        pull(settings, &credential).await.unwrap();
    }
    let elsewhere = Server::start(|_| answer(308, &[("location", "https://localhost/token")], "")).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (secure, authority) = private(listener, format!("http://{}", elsewhere.address));
    let settings = RegistrySettings {
        ca_pem: Some(authority),
        ..RegistrySettings::new(secure.name())
    };
    let error = pull(settings, &ann()).await.unwrap_err();
    assert!(matches!(error, RegistryError::BadRedirect { .. }), "{error}");
}
