//! Why a server's certificate is refused. Each refusal has its own text and remedy.
//!
//! **Invariant:** what a certificate says is outside text: it is sanitized and bounded.

use std::fmt;

use rustls::pki_types::UnixTime;
use rustls::{CertificateError, OtherError};

use crate::text::tame;

const NAMES_SHOWN: usize = 3;
const NAME_LIMIT: usize = 60;
/// The first bytes of the object identifiers of signatures with SHA-1 and MD5, without their tag.
const RSA_SHA1: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x05];
const RSA_MD5: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x04];
const ECDSA_SHA1: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01];

/// Why a server's certificate is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CertificateFault {
    /// With the last day, if it is known.
    Expired(Option<String>),
    /// With the first day, if it is known.
    NotYetValid(Option<String>),
    /// With the names that it has.
    OtherName(Vec<String>),
    /// It has a common name at most.
    NoNames,
    UnknownIssuer,
    /// A trusted CA has the issuer's name, but another key.
    OtherIssuer,
    /// It is a CA's certificate, and is not itself trusted.
    Authority,
    /// With the hash function, if it is a known one.
    OldSignature(Option<&'static str>),
    /// Its extended key usage does not include servers.
    NotForServers,
    /// With the library's word.
    Unusable(String),
}

impl CertificateFault {
    pub(crate) fn of(error: &CertificateError) -> Self {
        match error {
            CertificateError::Expired => Self::Expired(None),
            CertificateError::ExpiredContext { not_after, .. } => Self::Expired(day(*not_after)),
            CertificateError::NotValidYet => Self::NotYetValid(None),
            CertificateError::NotValidYetContext { not_before, .. } => Self::NotYetValid(day(*not_before)),
            CertificateError::NotValidForName => Self::OtherName(Vec::new()),
            CertificateError::NotValidForNameContext { presented, .. } if presented.is_empty() => {
                Self::NoNames
            }
            CertificateError::NotValidForNameContext { presented, .. } => Self::OtherName(names(presented)),
            CertificateError::UnknownIssuer => Self::UnknownIssuer,
            CertificateError::BadSignature => Self::OtherIssuer,
            CertificateError::UnsupportedSignatureAlgorithmContext {
                signature_algorithm_id,
                ..
            }
            | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext {
                signature_algorithm_id,
                ..
            } => Self::OldSignature(hash_of(signature_algorithm_id)),
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                Self::NotForServers
            }
            CertificateError::Other(OtherError(inner)) => Self::of_webpki(inner.downcast_ref())
                .unwrap_or_else(|| Self::Unusable(tame(&inner.to_string(), 100))),
            other => Self::Unusable(tame(&format!("{other:?}"), 100)),
        }
    }

    /// Returns the fault of an error that rustls has no word of its own for.
    fn of_webpki(error: Option<&webpki::Error>) -> Option<Self> {
        match error? {
            webpki::Error::CaUsedAsEndEntity => Some(Self::Authority),
            // Only version 3 has alternative names.
            webpki::Error::UnsupportedCertVersion => Some(Self::NoNames),
            _ => None,
        }
    }

    /// Returns what an operator can do about it.
    pub fn what_to_do(&self) -> &'static str {
        match self {
            Self::Expired(_) => "renew the certificate, or correct the clock of this machine",
            Self::NotYetValid(_) => "correct the clock of this machine, or issue the certificate again",
            Self::OtherName(_) => {
                "use one of these names for the server, or issue a certificate with this name as subjectAltName"
            }
            Self::NoNames => {
                "issue a certificate with the server's name as subjectAltName; a common name is not enough"
            }
            Self::UnknownIssuer => {
                "put the CA that issued it, or this certificate itself, into ca_file of this registry"
            }
            Self::OtherIssuer => "put the present certificate of the CA into ca_file of this registry",
            Self::Authority => {
                "put this certificate itself into ca_file of this registry, or issue one with CA:FALSE"
            }
            Self::OldSignature(_) => "issue a certificate that is signed with SHA-256",
            Self::NotForServers => "issue a certificate with extended key usage serverAuth",
            Self::Unusable(_) => "issue a new certificate for the server",
        }
    }
}

impl fmt::Display for CertificateFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired(Some(day)) => write!(out, "certificate expired on {day}"),
            Self::Expired(None) => out.write_str("certificate expired"),
            Self::NotYetValid(Some(day)) => write!(out, "certificate not valid before {day}"),
            Self::NotYetValid(None) => out.write_str("certificate not valid yet"),
            Self::OtherName(names) if names.is_empty() => out.write_str("certificate is for another name"),
            Self::OtherName(names) => write!(out, "certificate is for other names ({})", names.join(", ")),
            Self::NoNames => out.write_str("certificate has no subjectAltName"),
            Self::UnknownIssuer => out.write_str("certificate is of an unknown CA"),
            Self::OtherIssuer => out.write_str("certificate is not signed by the trusted CA of that name"),
            Self::Authority => out.write_str("certificate is a CA's and not trusted itself"),
            Self::OldSignature(Some(hash)) => write!(out, "certificate is signed with {hash}"),
            Self::OldSignature(None) => out.write_str("certificate has an unsupported signature"),
            Self::NotForServers => out.write_str("certificate is not for servers"),
            Self::Unusable(word) => write!(out, "certificate is unusable ({word})"),
        }
    }
}

/// Returns `2026-11-30`.
fn day(time: UnixTime) -> Option<String> {
    let seconds = i64::try_from(time.as_secs()).ok()?;
    let time = time::OffsetDateTime::from_unix_timestamp(seconds).ok()?;
    Some(time.date().to_string())
}

/// Returns the first names, from the library's `DnsName("a.lan")` and `IpAddress(10.0.0.1)`.
fn names(presented: &[String]) -> Vec<String> {
    let bare = |name: &String| {
        let inner = name.split_once('(').map_or(name.as_str(), |(_, inner)| inner);
        tame(inner.trim_end_matches(')').trim_matches('"'), NAME_LIMIT)
    };
    let mut names: Vec<_> = presented.iter().take(NAMES_SHOWN).map(bare).collect();
    if presented.len() > NAMES_SHOWN {
        names.push("…".to_owned());
    }
    names
}

fn hash_of(algorithm: &[u8]) -> Option<&'static str> {
    if algorithm.starts_with(RSA_SHA1) || algorithm.starts_with(ECDSA_SHA1) {
        Some("SHA-1")
    } else if algorithm.starts_with(RSA_MD5) {
        Some("MD5")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn the_names_of_a_certificate_are_sanitized_and_few() {
        let presented: Vec<String> = (0..9)
            .map(|at| format!("DnsName(\"{at}.lan\u{1b}[2J\")"))
            .collect();
        let shown = names(&presented);
        assert_eq!(shown.len(), NAMES_SHOWN + 1);
        assert!(
            shown.iter().all(|name| !name.contains(char::is_control)),
            "{shown:?}"
        );
        assert_eq!(names(&["IpAddress(10.0.0.1)".to_owned()]), ["10.0.0.1"]);
    }

    #[test]
    fn an_error_of_webpki_below_is_told_apart() {
        let wrapped = |error| CertificateError::Other(OtherError(Arc::new(error)));
        let of = |error| CertificateFault::of(&wrapped(error));
        assert_eq!(of(webpki::Error::CaUsedAsEndEntity), CertificateFault::Authority);
        assert_eq!(
            of(webpki::Error::UnsupportedCertVersion),
            CertificateFault::NoNames
        );
        assert!(matches!(
            of(webpki::Error::BadDerTime),
            CertificateFault::Unusable(_)
        ));
    }

    #[test]
    fn every_refusal_has_its_own_text() {
        let faults = [
            CertificateFault::Expired(Some("2026-11-30".to_owned())),
            CertificateFault::NotYetValid(Some("2026-11-30".to_owned())),
            CertificateFault::OtherName(vec!["a.lan".to_owned(), "10.0.0.1".to_owned()]),
            CertificateFault::NoNames,
            CertificateFault::UnknownIssuer,
            CertificateFault::OtherIssuer,
            CertificateFault::Authority,
            CertificateFault::OldSignature(Some("SHA-1")),
            CertificateFault::NotForServers,
            CertificateFault::Unusable("BadEncoding".to_owned()),
        ];
        let texts: Vec<String> = faults
            .iter()
            .map(|fault| format!("{fault}; {}", fault.what_to_do()))
            .collect();
        insta::assert_snapshot!(texts.join("\n"), @r"
        certificate expired on 2026-11-30; renew the certificate, or correct the clock of this machine
        certificate not valid before 2026-11-30; correct the clock of this machine, or issue the certificate again
        certificate is for other names (a.lan, 10.0.0.1); use one of these names for the server, or issue a certificate with this name as subjectAltName
        certificate has no subjectAltName; issue a certificate with the server's name as subjectAltName; a common name is not enough
        certificate is of an unknown CA; put the CA that issued it, or this certificate itself, into ca_file of this registry
        certificate is not signed by the trusted CA of that name; put the present certificate of the CA into ca_file of this registry
        certificate is a CA's and not trusted itself; put this certificate itself into ca_file of this registry, or issue one with CA:FALSE
        certificate is signed with SHA-1; issue a certificate that is signed with SHA-256
        certificate is not for servers; issue a certificate with extended key usage serverAuth
        certificate is unusable (BadEncoding); issue a new certificate for the server
        ");
    }
}
