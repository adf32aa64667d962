//! Mutual TLS with certificates of one CA, over real sockets.

use std::sync::Arc;

use axum::routing::get;
use axum::{Extension, Router};
use process::mutual::{
    Callers, ClientCertificate, HandshakeFault, Judge, MutualAcceptor, OwnCertificate, client,
    handshake_fault, pinned_client, tls_error,
};
use process::{Running, bind, serve_mutual};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};
use time::OffsetDateTime;

const SERVER: &str = "server.test.internal";

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        process::install_tls_provider();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "a test");
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("an authority"))
    }

    fn issue(&self, host: &str, until: OffsetDateTime) -> OwnCertificate {
        let (chain, key) = self.issued(host, until);
        OwnCertificate::new(&chain, &key).expect("a certificate")
    }

    fn issued(&self, host: &str, until: OffsetDateTime) -> (String, Vec<u8>) {
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::DnsName(host.try_into().expect("a name"))];
        params.not_after = until;
        let key = KeyPair::generate().expect("a key");
        let signed = params.signed_by(&key, &self.0).expect("signed");
        (signed.pem() + &self.0.pem(), key.serialize_der())
    }
}

fn far_future() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(4_000_000_000).expect("a date")
}

fn past() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_000_000_000).expect("a date")
}

fn accept_all() -> Judge {
    Arc::new(|_| Ok(()))
}

struct Server {
    url: String,
    authority: Authority,
    own: OwnCertificate,
    running: Running,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.running.stopping().cancel();
    }
}

/// Responds with the length of the caller's certificate, or 0.
async fn server(callers: Callers) -> Server {
    let authority = Authority::new();
    let own = authority.issue(SERVER, far_future());
    let acceptor = MutualAcceptor::new(&authority.0.pem(), &own, callers).expect("an acceptor");
    let shown = async |shown: Option<Extension<ClientCertificate>>| {
        shown.map_or(0, |shown| shown.der().len()).to_string()
    };
    let listener = bind("127.0.0.1:0").await.expect("a port");
    let url = format!("https://{}/", listener.local_addr().expect("an address"));
    let running = Running::new();
    serve_mutual(
        listener,
        Router::new().route("/", get(shown)),
        &running,
        &acceptor,
    );
    Server {
        url,
        authority,
        own,
        running,
    }
}

impl Server {
    async fn get(&self, http: &reqwest::Client) -> Result<String, reqwest::Error> {
        http.get(&self.url).send().await?.text().await
    }

    fn client(&self, own: &OwnCertificate, host: &str, judge: Judge) -> reqwest::Client {
        client(&self.authority.0.pem(), own, host, judge).expect("a client")
    }
}

#[tokio::test]
async fn the_handler_gets_the_callers_certificate_if_there_is_one() {
    let server = server(Callers::MayShow).await;
    let own = server.authority.issue("caller", far_future());
    let response = server.get(&server.client(&own, SERVER, accept_all())).await;
    assert_ne!(response.expect("an answer"), "0");
    let authority = server.authority.0.der().to_vec();
    let bare = pinned_client(SERVER, Arc::new(move |der| der == authority)).expect("a client");
    assert_eq!(server.get(&bare).await.expect("an answer"), "0");
    let strict = self::server(Callers::MustShow).await;
    let authority = strict.authority.0.der().to_vec();
    let bare = pinned_client(SERVER, Arc::new(move |der| der == authority)).expect("a client");
    assert!(strict.get(&bare).await.is_err());
}

#[tokio::test]
async fn an_authority_that_is_not_the_pinned_one_is_not_trusted() {
    let server = server(Callers::MayShow).await;
    let bare = pinned_client(SERVER, Arc::new(|_| false)).expect("a client");
    let error = server.get(&bare).await.expect_err("refused");
    assert_eq!(
        handshake_fault(&error),
        Some(HandshakeFault::Untrusted),
        "{error:?}"
    );
}

#[tokio::test]
async fn certificates_of_another_authority_are_trusted_by_neither_side() {
    let (server, other) = (server(Callers::MayShow).await, Authority::new());
    let foreign = other.issue("caller", far_future());
    assert!(
        server
            .get(&server.client(&foreign, SERVER, accept_all()))
            .await
            .is_err()
    );
    let theirs = client(&other.0.pem(), &foreign, SERVER, accept_all()).expect("a client");
    assert!(server.get(&theirs).await.is_err());
}

#[tokio::test]
async fn a_server_needs_its_fixed_name_and_the_consent_of_the_judge() {
    let server = server(Callers::MustShow).await;
    let own = server.authority.issue("caller", far_future());
    assert!(
        server
            .get(&server.client(&own, "other.test.internal", accept_all()))
            .await
            .is_err()
    );
    let strict: Judge = Arc::new(|_| Err("removed-peer".to_owned()));
    let error = server
        .get(&server.client(&own, SERVER, strict))
        .await
        .expect_err("judged");
    assert!(
        matches!(tls_error(&error), Some(rustls::Error::General(reason)) if reason == "removed-peer"),
        "{error:?}"
    );
}

#[tokio::test]
async fn an_expired_certificate_reaches_the_handler() {
    let server = server(Callers::MustShow).await;
    let expired = server.authority.issue("caller", past());
    let response = server.get(&server.client(&expired, SERVER, accept_all())).await;
    assert_ne!(response.expect("an answer"), "0");
}

#[tokio::test]
async fn new_connections_use_a_replaced_certificate() {
    let server = server(Callers::MustShow).await;
    let own = server.authority.issue("caller", far_future());
    let (chain, key) = server.authority.issued("renewed.test.internal", far_future());
    server.own.replace(&chain, &key).expect("replaced");
    assert!(
        server
            .get(&server.client(&own, SERVER, accept_all()))
            .await
            .is_err()
    );
    let renewed = server.client(&own, "renewed.test.internal", accept_all());
    assert!(server.get(&renewed).await.is_ok());
    assert!(server.own.replace("junk", &key).is_err());
    assert!(server.own.replace(&chain, b"junk").is_err());
}
