//! Plain HTTP, TLS with a private CA or without verification; and which registry a name refers to.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::response::Response;
use oci::{
    CertificateFault, ConnectFault, Credential, ImageReference, Registries, RegistryError, RegistryName,
    RegistrySettings,
};
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
    tls_server_on(listener, |_| manifest())
}

/// Returns a server with a certificate of a private CA for loopback, and the CA's PEM.
pub(crate) fn tls_server_on(
    listener: TcpListener,
    answer: impl Fn(&RecordedRequest) -> Response + Clone + Send + Sync + 'static,
) -> (Server, String) {
    let mut authority = rcgen::CertificateParams::new(vec![]).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let authority_pem = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = params().signed_by(&key, &issuer).unwrap();
    (
        with_certificate(listener, &certificate, &key, answer),
        authority_pem,
    )
}

/// Returns a registry with a self-signed certificate, and its PEM.
async fn self_signed(params: &rcgen::CertificateParams) -> (Server, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    (tls_server(&certificate, &key).await, certificate.pem())
}

fn params() -> rcgen::CertificateParams {
    rcgen::CertificateParams::new(vec!["127.0.0.1".into(), "localhost".into()]).unwrap()
}

async fn tls_server(certificate: &rcgen::Certificate, key: &rcgen::KeyPair) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    with_certificate(listener, certificate, key, |_| manifest())
}

fn with_certificate(
    listener: TcpListener,
    certificate: &rcgen::Certificate,
    key: &rcgen::KeyPair,
    answer: impl Fn(&RecordedRequest) -> Response + Clone + Send + Sync + 'static,
) -> Server {
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
    Server::on(TlsListener { listener, acceptor }, address, answer)
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

/// Pulls with a file of certificates, and returns the fault of the registry's own.
async fn fault(server: &Server, ca_pem: &str) -> Option<CertificateFault> {
    let pulled = pull(RegistrySettings {
        ca_pem: Some(ca_pem.to_owned()),
        ..RegistrySettings::new(server.name())
    });
    match pulled.await {
        Ok(()) => None,
        Err(RegistryError::Unreachable {
            cause: ConnectFault::Certificate(fault),
            ..
        }) => Some(fault),
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_certificate_that_is_itself_in_the_file_is_trusted_for_that_registry() {
    use rcgen::{BasicConstraints, IsCa};
    for kind in [
        IsCa::Ca(BasicConstraints::Unconstrained),
        IsCa::NoCa,
        IsCa::ExplicitNoCa,
    ] {
        let made = |kind: &IsCa| {
            let mut params = params();
            params.is_ca = *kind;
            params
        };
        let (server, own) = self_signed(&made(&kind)).await;
        assert_eq!(fault(&server, &own).await, None, "{kind:?}");
        let (_, others) = self_signed(&made(&kind)).await;
        assert!(fault(&server, &others).await.is_some(), "{kind:?}");
    }
}

#[tokio::test]
async fn each_refusal_of_a_certificate_has_its_own_fault() {
    let refusal = async |change: &dyn Fn(&mut rcgen::CertificateParams)| {
        let mut params = params();
        change(&mut params);
        let (server, own) = self_signed(&params).await;
        fault(&server, &own).await
    };
    let expired = refusal(&|params| params.not_after = rcgen::date_time_ymd(2001, 2, 3)).await;
    assert_eq!(
        expired,
        Some(CertificateFault::Expired(Some("2001-02-03".to_owned())))
    );
    let early = refusal(&|params| params.not_before = rcgen::date_time_ymd(2999, 1, 2)).await;
    assert_eq!(
        early,
        Some(CertificateFault::NotYetValid(Some("2999-01-02".to_owned())))
    );
    let nameless = refusal(&|params| params.subject_alt_names.clear()).await;
    assert_eq!(nameless, Some(CertificateFault::NoNames));
    let other = refusal(&|params| {
        params.subject_alt_names = vec![rcgen::SanType::DnsName("r.lan".try_into().unwrap())];
    });
    let names = vec!["r.lan".to_owned()];
    assert_eq!(other.await, Some(CertificateFault::OtherName(names)));
    let purpose = refusal(&|params| {
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    });
    assert_eq!(purpose.await, Some(CertificateFault::NotForServers));
    let (server, _) = tls_registry().await;
    let mut foreign = params();
    let (_, namesake) = self_signed(&foreign).await;
    assert_eq!(
        fault(&server, &namesake).await,
        Some(CertificateFault::OtherIssuer)
    );
    foreign
        .distinguished_name
        .push(rcgen::DnType::CommonName, "other");
    let (_, foreign) = self_signed(&foreign).await;
    assert_eq!(
        fault(&server, &foreign).await,
        Some(CertificateFault::UnknownIssuer)
    );
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
