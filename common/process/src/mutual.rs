//! Mutual TLS 1.3 with certificates of one private CA.
//!
//! **Invariants:** a server must have a fixed DNS name in its certificate; the dialled host does not matter. TLS verifies
//! the CA's signature but not the dates: the caller checks these with its own clock, so that a wrong clock gets a clear
//! error instead of a failed handshake. No session is resumed, because a resumed session would skip that check.

use std::fmt;
use std::sync::Arc;

use parking_lot::RwLock;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    ServerConfig, SignatureScheme,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::http::{ClientError, client_over};

#[derive(Debug, thiserror::Error)]
pub enum MutualError {
    #[error("no readable PEM certificate")]
    NoCertificate,
    // The library's text could repeat parts of the key.
    #[error("the private key is unreadable or does not match the certificate")]
    NoKey,
    #[error("the CA certificate is unusable: {0}")]
    BadAuthority(String),
    #[error("`{0}` is not a DNS name")]
    BadName(String),
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// The DER certificate of a caller: signed by the CA, possibly expired. An extension of each request.
#[derive(Clone)]
pub struct ClientCertificate(Arc<[u8]>);

impl ClientCertificate {
    /// For tests.
    pub fn from_der(der: &[u8]) -> Self {
        Self(der.into())
    }

    pub(crate) fn shown_on<S>(stream: &TlsStream<S>) -> Option<Self> {
        let chain = stream.get_ref().1.peer_certificates()?;
        chain.first().map(|certificate| Self::from_der(certificate))
    }

    pub fn der(&self) -> &[u8] {
        &self.0
    }
}

/// A certificate chain and its key, replaceable while connections stay open. Clones share it.
#[derive(Clone)]
pub struct OwnCertificate(Arc<RwLock<Arc<CertifiedKey>>>);

impl OwnCertificate {
    /// Takes the key in PKCS#8.
    pub fn new(chain_pem: &str, key: &[u8]) -> Result<Self, MutualError> {
        Ok(Self(Arc::new(RwLock::new(certified(chain_pem, key)?))))
    }

    /// Replaces the certificate for new connections.
    pub fn replace(&self, chain_pem: &str, key: &[u8]) -> Result<(), MutualError> {
        let certified = certified(chain_pem, key)?;
        *self.0.write() = certified;
        Ok(())
    }

    fn get(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.0.read())
    }
}

impl fmt::Debug for OwnCertificate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("OwnCertificate(…)")
    }
}

impl ResolvesServerCert for OwnCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.get())
    }
}

impl ResolvesClientCert for OwnCertificate {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.get())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

fn certified(chain_pem: &str, key: &[u8]) -> Result<Arc<CertifiedKey>, MutualError> {
    let key = PrivateKeyDer::Pkcs8(key.to_vec().into());
    let chain = certificates(chain_pem)?;
    CertifiedKey::from_der(chain, key, &provider())
        .map(Arc::new)
        .map_err(|_| MutualError::NoKey)
}

/// Returns the certificates in a PEM text, at least one.
pub fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, MutualError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    read.ok()
        .filter(|certificates| !certificates.is_empty())
        .ok_or(MutualError::NoCertificate)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn roots(authority: CertificateDer<'static>) -> Result<Arc<RootCertStore>, MutualError> {
    let mut roots = RootCertStore::empty();
    roots
        .add(authority)
        .map_err(|error| MutualError::BadAuthority(error.to_string()))?;
    Ok(Arc::new(roots))
}

/// Whether a caller needs a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Callers {
    MustShow,
    /// The handlers decide what such a caller may do.
    MayShow,
}

/// Accepts connections of callers with certificates of one CA.
#[derive(Clone)]
pub struct MutualAcceptor(TlsAcceptor);

impl MutualAcceptor {
    pub fn new(ca_pem: &str, own: &OwnCertificate, callers: Callers) -> Result<Self, MutualError> {
        let authority = certificates(ca_pem)?.swap_remove(0);
        let builder = WebPkiClientVerifier::builder_with_provider(roots(authority)?, provider());
        let builder = match callers {
            Callers::MustShow => builder,
            Callers::MayShow => builder.allow_unauthenticated(),
        };
        let verifier = builder
            .build()
            .map_err(|error| MutualError::BadAuthority(error.to_string()))?;
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| MutualError::BadAuthority(error.to_string()))?
            .with_client_cert_verifier(Arc::new(DatelessVerifier(verifier)))
            .with_cert_resolver(Arc::new(own.clone()));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.send_tls13_tickets = 0;
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }

    pub(crate) fn tls(&self) -> TlsAcceptor {
        self.0.clone()
    }
}

/// Verifies a client's certificate except for its dates.
#[derive(Debug)]
struct DatelessVerifier(Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for DatelessVerifier {
    fn offer_client_auth(&self) -> bool {
        self.0.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.0.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        within_its_dates(now, |now| {
            self.0.verify_client_cert(end_entity, intermediates, now)
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// Verifies at a time within the certificate's dates.
fn within_its_dates<T>(now: UnixTime, verify: impl Fn(UnixTime) -> Result<T, Error>) -> Result<T, Error> {
    match verify(now) {
        Err(Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) => {
            verify(not_after)
        }
        Err(Error::InvalidCertificate(CertificateError::NotValidYetContext { not_before, .. })) => {
            verify(not_before)
        }
        other => other,
    }
}

/// An additional check of a server's DER certificate, after signature and name. Returns the reason for a refusal.
pub type Judge = Arc<dyn Fn(&[u8]) -> Result<(), String> + Send + Sync>;

/// Whether a DER certificate in a server's chain is the CA's own.
pub type IsAuthority = Arc<dyn Fn(&[u8]) -> bool + Send + Sync>;

/// Builds a client with the certificate `own` for servers whose certificate has the DNS name `host`, at any address.
pub fn client(
    ca_pem: &str,
    own: &OwnCertificate,
    host: &str,
    judge: Judge,
) -> Result<reqwest::Client, MutualError> {
    let authority = certificates(ca_pem)?.swap_remove(0);
    let verifier = verifier_of(authority)?;
    let verifier = FixedName {
        anchor: TrustAnchor::Known(verifier),
        host: name_of(host)?,
        judge,
    };
    let config = client_config(verifier)?.with_client_cert_resolver(Arc::new(own.clone()));
    finish(config)
}

/// Builds a client without a certificate. It trusts the CA that `is_authority` finds in the server's chain.
pub fn pinned_client(host: &str, is_authority: IsAuthority) -> Result<reqwest::Client, MutualError> {
    let verifier = FixedName {
        anchor: TrustAnchor::Pinned(is_authority),
        host: name_of(host)?,
        judge: Arc::new(|_| Ok(())),
    };
    finish(client_config(verifier)?.with_no_client_auth())
}

fn client_config(
    verifier: FixedName,
) -> Result<rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>, MutualError> {
    Ok(ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| MutualError::BadAuthority(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier)))
}

fn finish(mut config: ClientConfig) -> Result<reqwest::Client, MutualError> {
    config.resumption = Resumption::disabled();
    // SNI would reveal the dialled name.
    config.enable_sni = false;
    Ok(client_over(config)?)
}

fn name_of(host: &str) -> Result<ServerName<'static>, MutualError> {
    ServerName::try_from(host.to_owned()).map_err(|_| MutualError::BadName(host.to_owned()))
}

fn verifier_of(authority: CertificateDer<'static>) -> Result<Arc<WebPkiServerVerifier>, MutualError> {
    WebPkiServerVerifier::builder_with_provider(roots(authority)?, provider())
        .build()
        .map_err(|error| MutualError::BadAuthority(error.to_string()))
}

/// Why a handshake with a server failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandshakeFault {
    /// The server does not speak TLS.
    NoTls,
    /// The server's certificate is not trusted: another CA, another name, expired.
    Untrusted,
}

/// Returns the fault of a handshake among the causes of a failed request.
pub fn handshake_fault(error: &(dyn std::error::Error + 'static)) -> Option<HandshakeFault> {
    match tls_error(error)? {
        Error::InvalidMessage(_) => Some(HandshakeFault::NoTls),
        Error::InvalidCertificate(_) => Some(HandshakeFault::Untrusted),
        _ => None,
    }
}

/// Returns the TLS library's error among the causes of a failed request.
pub fn tls_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Error> {
    let mut cause = Some(error);
    while let Some(one) = cause {
        if let Some(tls) = one.downcast_ref() {
            return Some(tls);
        }
        // `source` of an I/O error skips the error that it wraps.
        let wrapped = one
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref);
        cause = wrapped.map_or_else(|| one.source(), |inner| Some(inner));
    }
    None
}

/// The CA that a server's certificate must come from.
enum TrustAnchor {
    Known(Arc<WebPkiServerVerifier>),
    Pinned(IsAuthority),
}

struct FixedName {
    anchor: TrustAnchor,
    host: ServerName<'static>,
    judge: Judge,
}

impl fmt::Debug for FixedName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("FixedName").field(&self.host).finish()
    }
}

impl FixedName {
    fn verifier(&self, chain: &[CertificateDer<'_>]) -> Result<Arc<WebPkiServerVerifier>, Error> {
        match &self.anchor {
            TrustAnchor::Known(verifier) => Ok(Arc::clone(verifier)),
            TrustAnchor::Pinned(is_authority) => {
                let found = chain.iter().find(|certificate| is_authority(certificate));
                let found = found.ok_or(Error::InvalidCertificate(CertificateError::UnknownIssuer))?;
                verifier_of(found.clone().into_owned()).map_err(|error| Error::General(error.to_string()))
            }
        }
    }
}

impl ServerCertVerifier for FixedName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verifier = self.verifier(intermediates)?;
        let outcome = within_its_dates(now, |now| {
            verifier.verify_server_cert(end_entity, intermediates, &self.host, &[], now)
        })?;
        (self.judge)(end_entity).map_err(Error::General)?;
        Ok(outcome)
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("only TLS 1.3 is supported".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
