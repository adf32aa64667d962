//! Decides whether a server's certificate is trusted, as the container runtimes of the field do.
//!
//! **Invariants:** a certificate is trusted if a trusted CA issued it, or if it is itself, byte for byte, among the
//! trusted certificates; webpki alone refuses the second kind if it is also a CA's. Dates, name and purpose are always
//! checked. What is trusted counts for the one client that is built with it.

use std::collections::HashSet;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, ExtendedKeyPurpose, RootCertStore,
    SignatureScheme,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use sha2::{Digest as _, Sha256};
use x509_parser::prelude::{FromDer as _, X509Certificate};

const PEM_LINE: usize = 64;

#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    #[error("the CA file has no readable PEM certificate")]
    NoCertificate,
    #[error("no CA certificates on this machine: install ca-certificates, or give a CA file")]
    NoAuthorities,
    // The library's text could repeat parts of a key.
    #[error("the client certificate is unusable: give a PEM certificate and its unencrypted PEM private key")]
    NoIdentity,
    #[error("cannot set up TLS")]
    Setup(#[source] Error),
}

/// Certificates that an operator trusts, read from a PEM file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedCertificates(Vec<CertificateDer<'static>>);

impl TrustedCertificates {
    /// Reads every certificate of a PEM bundle. Comments, keys and unreadable certificates are left out, as Go's
    /// programs do. Returns `None` if no certificate is left.
    pub fn read(pem: &[u8]) -> Option<Self> {
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
            .filter_map(Result::ok)
            .filter(|der| RootCertStore::empty().add(der.clone()).is_ok())
            .collect();
        (!certificates.is_empty()).then_some(Self(certificates))
    }

    /// Returns the certificates as PEM, without anything else that the file held.
    pub fn to_pem(&self) -> String {
        self.0.iter().map(|der| pem_of(der)).collect()
    }
}

fn pem_of(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut pem = "-----BEGIN CERTIFICATE-----\n".to_owned();
    for line in text.as_bytes().chunks(PEM_LINE) {
        pem.extend(line.iter().copied().map(char::from));
        pem.push('\n');
    }
    pem + "-----END CERTIFICATE-----\n"
}

/// Returns the TLS configuration of a client that trusts the system's certificates and those in `ca_pem`, and shows the
/// client certificate in `identity_pem`.
pub(crate) fn client_config(
    ca_pem: Option<&str>,
    identity_pem: Option<&str>,
) -> Result<ClientConfig, TrustError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Verifier::new(ca_pem, &provider)?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TrustError::Setup)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match identity_pem {
        Some(pem) => {
            let (chain, key) = identity(pem.as_bytes()).ok_or(TrustError::NoIdentity)?;
            let with_identity = config.with_client_auth_cert(chain, key);
            with_identity.map_err(|_| TrustError::NoIdentity)?
        }
        None => config.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn identity(pem: &[u8]) -> Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .ok()?;
    let key = PrivateKeyDer::from_pem_slice(pem).ok()?;
    (!chain.is_empty()).then_some((chain, key))
}

#[derive(Debug)]
struct Verifier {
    authorities: RootCertStore,
    /// SHA-256 of each trusted certificate, CA or not.
    trusted: HashSet<[u8; 32]>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    fn new(ca_pem: Option<&str>, provider: &CryptoProvider) -> Result<Self, TrustError> {
        let mut certificates = match ca_pem {
            Some(pem) => {
                TrustedCertificates::read(pem.as_bytes())
                    .ok_or(TrustError::NoCertificate)?
                    .0
            }
            None => Vec::new(),
        };
        certificates.extend(rustls_native_certs::load_native_certs().certs);
        if certificates.is_empty() {
            return Err(TrustError::NoAuthorities);
        }
        Ok(Self::of(certificates, provider))
    }

    fn of(certificates: Vec<CertificateDer<'static>>, provider: &CryptoProvider) -> Self {
        let trusted = certificates.iter().map(|der| fingerprint(der)).collect();
        let mut authorities = RootCertStore::empty();
        authorities.add_parsable_certificates(certificates.into_iter().filter(|der| may_issue(der)));
        Self {
            authorities,
            trusted,
            algorithms: provider.signature_verification_algorithms,
        }
    }
}

fn fingerprint(der: &[u8]) -> [u8; 32] {
    Sha256::digest(der).into()
}

/// Whether a trusted certificate may issue others: not if it says that it is no CA.
fn may_issue(der: &[u8]) -> bool {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else {
        return true;
    };
    let constraints = certificate.basic_constraints().ok().flatten();
    constraints.is_none_or(|constraints| constraints.value.ca)
}

/// Checks the dates and the purpose of a trusted certificate. webpki checks those of all others.
fn usable_at(der: &[u8], now: UnixTime) -> Result<(), CertificateError> {
    let (_, certificate) = X509Certificate::from_der(der).map_err(|_| CertificateError::BadEncoding)?;
    let validity = certificate.validity();
    let (not_before, not_after) = (
        time_of(validity.not_before.timestamp()),
        time_of(validity.not_after.timestamp()),
    );
    if now < not_before {
        return Err(CertificateError::NotValidYetContext {
            time: now,
            not_before,
        });
    }
    if now > not_after {
        return Err(CertificateError::ExpiredContext { time: now, not_after });
    }
    let purposes = certificate.extended_key_usage().ok().flatten();
    if purposes.is_some_and(|purposes| !purposes.value.server_auth && !purposes.value.any) {
        return Err(CertificateError::InvalidPurposeContext {
            required: ExtendedKeyPurpose::ServerAuth,
            presented: Vec::new(),
        });
    }
    Ok(())
}

fn time_of(unix: i64) -> UnixTime {
    UnixTime::since_unix_epoch(std::time::Duration::from_secs(unix.max(0).unsigned_abs()))
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let certificate = ParsedCertificate::try_from(end_entity)?;
        if self.trusted.contains(&fingerprint(end_entity)) {
            usable_at(end_entity, now)?;
        } else {
            let (authorities, algorithms) = (&self.authorities, self.algorithms.all);
            verify_server_cert_signed_by_trust_anchor(
                &certificate,
                authorities,
                intermediates,
                now,
                algorithms,
            )?;
        }
        verify_server_name(&certificate, server_name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests;
