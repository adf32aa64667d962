//! TLS in which both sides show certificates of one authority, over real sockets.

use std::sync::Arc;

use axum::routing::get;
use axum::{Extension, Router};
use process::mutual::{
    Callers, ClientCertificate, HandshakeFault, Judge, MutualAcceptor, OwnCertificate, client,
    handshake_fault, pinned_client,
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

fn late() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(4_000_000_000).expect("a date")
}

fn long_ago() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_000_000_000).expect("a date")
}

fn whatever() -> Judge {
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

/// Answers with the length of the certificate that the caller has shown.
async fn server(callers: Callers) -> Server {
    let authority = Authority::new();
    let own = authority.issue(SERVER, late());
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
    async fn told(&self, http: &reqwest::Client) -> Result<String, reqwest::Error> {
        http.get(&self.url).send().await?.text().await
    }

    fn client(&self, own: &OwnCertificate, host: &str, judge: Judge) -> reqwest::Client {
        client(&self.authority.0.pem(), own, host, judge).expect("a client")
    }
}

#[tokio::test]
async fn the_shown_certificate_reaches_the_handler_and_none_does_where_that_is_allowed() {
    let server = server(Callers::MayShow).await;
    let own = server.authority.issue("caller", late());
    let told = server.told(&server.client(&own, SERVER, whatever())).await;
    assert_ne!(told.expect("an answer"), "0");
    let authority = server.authority.0.der().to_vec();
    let bare = pinned_client(SERVER, Arc::new(move |der| der == authority)).expect("a client");
    assert_eq!(server.told(&bare).await.expect("an answer"), "0");
    let strict = self::server(Callers::MustShow).await;
    let authority = strict.authority.0.der().to_vec();
    let bare = pinned_client(SERVER, Arc::new(move |der| der == authority)).expect("a client");
    assert!(strict.told(&bare).await.is_err());
}

#[tokio::test]
async fn an_authority_that_is_not_the_pinned_one_is_not_believed() {
    let server = server(Callers::MayShow).await;
    let bare = pinned_client(SERVER, Arc::new(|_| false)).expect("a client");
    let error = server.told(&bare).await.expect_err("refused");
    assert_eq!(
        handshake_fault(&error),
        Some(HandshakeFault::Untrusted),
        "{error:?}"
    );
}

#[tokio::test]
async fn certificates_of_another_authority_are_believed_by_neither_side() {
    let (server, other) = (server(Callers::MayShow).await, Authority::new());
    let foreign = other.issue("caller", late());
    assert!(
        server
            .told(&server.client(&foreign, SERVER, whatever()))
            .await
            .is_err()
    );
    let theirs = client(&other.0.pem(), &foreign, SERVER, whatever()).expect("a client");
    assert!(server.told(&theirs).await.is_err());
}

#[tokio::test]
async fn a_server_is_believed_under_its_fixed_name_only_and_by_the_judge() {
    let server = server(Callers::MustShow).await;
    let own = server.authority.issue("caller", late());
    assert!(
        server
            .told(&server.client(&own, "other.test.internal", whatever()))
            .await
            .is_err()
    );
    let strict: Judge = Arc::new(|_| Err("it is on a list".to_owned()));
    let error = server
        .told(&server.client(&own, SERVER, strict))
        .await
        .expect_err("judged");
    assert!(format!("{error:?}").contains("it is on a list"), "{error:?}");
}

#[tokio::test]
async fn dates_are_for_the_handler_to_judge() {
    let server = server(Callers::MustShow).await;
    let expired = server.authority.issue("caller", long_ago());
    let told = server.told(&server.client(&expired, SERVER, whatever())).await;
    assert_ne!(told.expect("an answer"), "0");
}

#[tokio::test]
async fn a_replaced_certificate_is_shown_on_new_connections() {
    let server = server(Callers::MustShow).await;
    let own = server.authority.issue("caller", late());
    let (chain, key) = server.authority.issued("renewed.test.internal", late());
    server.own.replace(&chain, &key).expect("replaced");
    assert!(
        server
            .told(&server.client(&own, SERVER, whatever()))
            .await
            .is_err()
    );
    let renewed = server.client(&own, "renewed.test.internal", whatever());
    assert!(server.told(&renewed).await.is_ok());
    assert!(server.own.replace("junk", &key).is_err());
    assert!(server.own.replace(&chain, b"junk").is_err());
}
