//! Plain HTTP, TLS with a private CA or without verification; and which registry a name refers to.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::response::Response;
use oci::{Credential, ImageReference, Registries, RegistryError, RegistryName, RegistrySettings};
use rustls::pki_types::PrivateKeyDer;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::server::{RecordedRequest, Server, answer, client, manifest, reach, repository, tag};

struct TlsListener {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl axum::serve::Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            let Ok((stream, address)) = self.listener.accept().await else {
                continue;
            };
            // A client that does not trust the CA closes the connection during the handshake.
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// Returns a registry with a certificate of a private CA, and the CA's PEM.
async fn tls_registry() -> (Server, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    tls_server(listener, |_| manifest())
}

/// Returns a server with a certificate of a private CA for loopback, and the CA's PEM.
pub(crate) fn tls_server(
    listener: TcpListener,
    answer: impl Fn(&RecordedRequest) -> Response + Clone + Send + Sync + 'static,
) -> (Server, String) {
    let mut authority = rcgen::CertificateParams::new(vec![]).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let authority_pem = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["127.0.0.1".into(), "localhost".into()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let server = Server::on(TlsListener { listener, acceptor }, address, answer);
    (server, authority_pem)
}

async fn pull(settings: RegistrySettings) -> Result<(), RegistryError> {
    reach(settings)
        .manifest(&repository(), &tag("1"), &Credential::Anonymous)
        .await
        .map(|_| ())
}

#[tokio::test]
async fn a_certificate_of_the_configured_authority_is_trusted() {
    let (server, authority) = tls_registry().await;
    pull(RegistrySettings {
        ca_pem: Some(authority),
        ..RegistrySettings::new(server.name())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn an_unknown_authority_is_refused_with_advice() {
    let (server, _) = tls_registry().await;
    let error = pull(RegistrySettings::new(server.name())).await.unwrap_err();
    assert!(matches!(error, RegistryError::Unreachable { .. }), "{error}");
    assert!(error.what_to_do().contains("ca_file"), "{error}");
    assert!(!error.is_worth_retrying());
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn verification_can_be_disabled_for_one_registry() {
    let (server, _) = tls_registry().await;
    pull(RegistrySettings {
        insecure_skip_verify: true,
        ..RegistrySettings::new(server.name())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn plain_http_needs_its_setting() {
    let server = Server::start(|_| manifest()).await;
    let error = pull(RegistrySettings::new(server.name())).await.unwrap_err();
    assert!(
        error.what_to_do().contains("plain_http"),
        "{error}: {}",
        error.what_to_do()
    );
    pull(server.settings()).await.unwrap();
}

#[tokio::test]
async fn an_invalid_ca_file_is_a_fault_of_the_settings() {
    let registries = Registries::new(Arc::new(client));
    let name: RegistryName = "h.lan".parse().unwrap();
    let ca_pem = Some("-----BEGIN CERTIFICATE-----\njunk\n-----END CERTIFICATE-----\n".to_owned());
    registries.configure(vec![RegistrySettings {
        ca_pem,
        ..RegistrySettings::new(name.clone())
    }]);
    assert!(matches!(
        registries.registry(&oci::Origin::of(name.clone(), oci::Scheme::Https)),
        Err(RegistryError::Setup { .. })
    ));
}

#[tokio::test]
async fn harbors_url_leads_to_the_registry_below_its_path() {
    let server = Server::start(|_| manifest()).await;
    let url = format!("http://{}/path/v2/p/app/manifests/1", server.address);
    let image: ImageReference = url.parse().unwrap();
    let registries = Registries::new(Arc::new(client));
    let registry = registries.registry(&image.location().unwrap().origin).unwrap();
    registry
        .manifest(&image.repository, &image.wanted, &Credential::Anonymous)
        .await
        .unwrap();
    assert_eq!(server.requests()[0].path, "/path/v2/p/app/manifests/1");
}

#[test]
fn a_registry_is_known_under_all_its_names() {
    let registries = Registries::new(Arc::new(client));
    let name = |text: &str| text.parse::<RegistryName>().unwrap();
    let aliases = vec![name("harbor-internal.lan")];
    registries.configure(vec![RegistrySettings {
        aliases,
        ..RegistrySettings::new(name("harbor.lan"))
    }]);
    assert!(registries.knows(&name("HARBOR-INTERNAL.lan:443")));
    assert_eq!(
        registries.canonical(&name("harbor-internal.lan")),
        name("harbor.lan")
    );
    assert_eq!(
        registries.settings(&name("harbor-internal.lan")).unwrap().name,
        name("harbor.lan")
    );
    assert!(!registries.knows(&name("other.lan")));
    registries.configure(vec![]);
    assert!(!registries.knows(&name("harbor.lan")));
}

#[tokio::test]
async fn unchanged_settings_keep_their_tokens() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::on(listener, address, move |request: &RecordedRequest| {
        match (request.path.as_str(), request.authorization.as_deref()) {
            ("/token", _) => answer(200, &[], r#"{"token":"good","expires_in":300}"#),
            (_, Some("Bearer good")) => manifest(),
            _ => {
                let realm = format!("Bearer realm=\"http://{address}/token\"");
                answer(401, &[("www-authenticate", &realm)], "")
            }
        }
    });
    let registries = Registries::new(Arc::new(client));
    let pull = async || {
        let registry = registries
            .registry(&oci::Origin::of(server.name(), oci::Scheme::Https))
            .unwrap();
        registry
            .manifest(&repository(), &tag("1"), &Credential::Anonymous)
            .await
            .unwrap();
        let requests = server.requests();
        requests.iter().filter(|request| request.path == "/token").count()
    };
    let changed = RegistrySettings {
        token_realms: vec!["auth.lan".into()],
        ..server.settings()
    };
    for (settings, exchanges) in [(server.settings(), 1), (server.settings(), 1), (changed, 2)] {
        registries.configure(vec![
            settings,
            RegistrySettings::new("other.lan".parse().unwrap()),
        ]);
        assert_eq!(pull().await, exchanges);
    }
}
