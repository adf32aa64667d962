//! The manager's own certificate authority: it signs the certificates of peers, and of the manager's peer port.
//!
//! **Invariant:** a certificate says what the caller of [`Authority::issue`] decided, and nothing that a peer wrote. The
//! key never leaves the data folder.

use std::path::Path;

use process::files::private_file;
use process::mutual;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType, SignatureAlgorithm,
};
use time::OffsetDateTime;
use wire::{CaFingerprint, MANAGER_HOST, PEER_HOST, PeerIdentity, PublicKey, Validity};

use crate::server::tokens::KeyError;

const NAME: &str = "Stoker peers";
/// Key and certificate, PEM.
const FILE: &str = "peer-ca.pem";
/// The authority's certificate, and that of the peer port (whose key lives in memory only), hold for as long as this.
const YEARS: i64 = 50;
const YEAR: i64 = 366 * 86_400;

/// Signs peers' certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    ca_pem: String,
    fingerprint: CaFingerprint,
}

/// What the peer port shows.
pub struct ServerCertificate {
    /// The authority's own certificate is in it: a peer that joins recognises it by its fingerprint.
    pub chain_pem: String,
    /// PKCS#8.
    pub key: Vec<u8>,
}

/// A certificate could not be signed.
#[derive(Debug, thiserror::Error)]
#[error("a certificate could not be signed: {0}")]
pub struct NotIssued(#[from] rcgen::Error);

impl Authority {
    /// Reads key and certificate in `folder`, or makes them (one file, mode 0600).
    pub fn at(folder: &Path, now_unix: i64) -> Result<Self, KeyError> {
        let file = folder.join(FILE);
        let name = file.display().to_string();
        let made = || new_authority(now_unix).unwrap_or_default().into_bytes();
        let bytes = private_file(&file, made).map_err(|error| KeyError::File {
            file: name.clone(),
            error,
        })?;
        let text = String::from_utf8(bytes).ok();
        text.and_then(|text| Self::read(&text))
            .ok_or(KeyError::NotAnAuthority { file: name })
    }

    fn read(text: &str) -> Option<Self> {
        let key = KeyPair::from_pem(text).ok()?;
        let certificate = mutual::certificates(text).ok()?.into_iter().next()?;
        let (_, parsed) = x509_parser::parse_x509_certificate(&certificate).ok()?;
        if parsed.public_key().subject_public_key.data.as_ref() != key.der_bytes() {
            return None;
        }
        let ca_pem = text.get(text.find("-----BEGIN CERTIFICATE-----")?..)?.to_owned();
        Some(Self {
            fingerprint: CaFingerprint::of(&certificate),
            issuer: Issuer::new(authority_params(), key),
            ca_pem,
        })
    }

    pub fn fingerprint(&self) -> CaFingerprint {
        self.fingerprint
    }

    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// A peer's certificate, PEM.
    pub fn issue(&self, identity: &PeerIdentity, key: PublicKey, now_unix: i64) -> Result<String, NotIssued> {
        let uri = SanType::URI(identity.to_uri().try_into()?);
        let mut params = leaf_params(PEER_HOST, Validity::from(now_unix))?;
        params.subject_alt_names.push(uri);
        params
            .distinguished_name
            .push(DnType::CommonName, identity.peer.to_string());
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        Ok(params.signed_by(&Point(key), &self.issuer)?.pem())
    }

    /// For the peer port, with a key that is made now.
    pub fn server_certificate(&self, now_unix: i64) -> Result<ServerCertificate, NotIssued> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = leaf_params(MANAGER_HOST, long_validity(now_unix))?;
        params
            .distinguished_name
            .push(DnType::CommonName, "Stoker manager");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(ServerCertificate {
            chain_pem: certificate.pem() + &self.ca_pem,
            key: key.serialize_der(),
        })
    }
}

fn new_authority(now_unix: i64) -> Result<String, rcgen::Error> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = authority_params();
    set_dates(&mut params, long_validity(now_unix));
    Ok(key.serialize_pem() + &params.self_signed(&key)?.pem())
}

/// The same at every start: an issuer is its name and its key.
fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, NAME);
    params
}

fn leaf_params(host: &str, validity: Validity) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.subject_alt_names = vec![SanType::DnsName(host.try_into()?)];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    set_dates(&mut params, validity);
    Ok(params)
}

fn long_validity(now_unix: i64) -> Validity {
    Validity {
        not_before: now_unix - Validity::BACKDATED,
        not_after: now_unix + YEARS * YEAR,
    }
}

fn set_dates(params: &mut CertificateParams, validity: Validity) {
    let date = |unix| OffsetDateTime::from_unix_timestamp(unix).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    params.not_before = date(validity.not_before);
    params.not_after = date(validity.not_after);
}

/// A public key whose private half is a peer's.
struct Point(PublicKey);

impl PublicKeyData for Point {
    fn der_bytes(&self) -> &[u8] {
        self.0.point()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;
    use wire::{PeerCertificate, Role};

    use super::*;

    const NOW: i64 = 1_800_000_000;

    #[test]
    fn an_authority_is_made_once_and_signs_the_same_after_a_restart() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = Authority::at(folder.path(), NOW).expect("made");
        let again = Authority::at(folder.path(), NOW + 1).expect("read");
        assert_eq!(first.fingerprint(), again.fingerprint());
        assert_eq!(first.ca_pem(), again.ca_pem());
        assert!(!again.ca_pem().contains("PRIVATE"));
    }

    #[test]
    fn a_certificate_says_who_the_peer_is_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let authority = Authority::at(folder.path(), NOW).expect("made");
        let identity = PeerIdentity {
            peer: Uuid::from_u128(7),
            cluster: "edge-7".parse().expect("a name"),
            role: Role::Node,
        };
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
        let key = PublicKey::from_point(key.der_bytes()).expect("a point");
        let pem = authority.issue(&identity, key, NOW).expect("issued");
        let der = mutual::certificates(&pem).expect("one").remove(0);
        let read = PeerCertificate::read(&der).expect("a peer's");
        assert_eq!((read.identity, read.validity), (identity, Validity::from(NOW)));
        assert_eq!(read.public_key, key);
    }

    #[test]
    fn a_file_that_is_no_authority_is_refused_with_what_to_do() {
        let folder = tempfile::tempdir().expect("a folder");
        process::files::write_private(&folder.path().join(FILE), b"junk").expect("written");
        let Err(error) = Authority::at(folder.path(), NOW) else {
            panic!("junk was taken for an authority");
        };
        assert!(error.to_string().contains("backup"), "{error}");
    }
}
