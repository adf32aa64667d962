//! Why no response came from a server: typed causes, found among the HTTP client's errors.

use std::error::Error;
use std::fmt;

use rustls::{AlertDescription, Error as TlsError};

use crate::certificate_fault::CertificateFault;
use crate::text::tame;

/// Why no response came.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectFault {
    Certificate(CertificateFault),
    /// The server requires a client certificate, or does not accept ours.
    NeedsOurCertificate,
    /// The server does not speak TLS.
    NoTls,
    /// The server and we have no version or cipher of TLS in common.
    OtherTls,
    /// The proxy on the way requires a user name and password.
    ProxyCredential,
    /// Such as "Connection refused".
    Other(String),
}

impl ConnectFault {
    /// Returns the fault in the causes of a failed request. Its text never contains the URL.
    pub fn of(error: &reqwest::Error) -> Self {
        let other = innermost(error);
        match among_causes::<TlsError>(error) {
            Some(tls) => Self::of_tls(tls).unwrap_or(Self::Other(other)),
            // The library keeps the type of this error private.
            None if other.contains("proxy auth") => Self::ProxyCredential,
            None => Self::Other(other),
        }
    }

    fn of_tls(error: &TlsError) -> Option<Self> {
        match error {
            TlsError::InvalidCertificate(fault) => Some(Self::Certificate(CertificateFault::of(fault))),
            TlsError::InvalidMessage(_) => Some(Self::NoTls),
            TlsError::PeerIncompatible(_)
            | TlsError::AlertReceived(
                AlertDescription::ProtocolVersion
                | AlertDescription::HandshakeFailure
                | AlertDescription::InsufficientSecurity,
            ) => Some(Self::OtherTls),
            TlsError::AlertReceived(
                AlertDescription::CertificateRequired
                | AlertDescription::BadCertificate
                | AlertDescription::UnsupportedCertificate
                | AlertDescription::CertificateRevoked
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateUnknown
                | AlertDescription::UnknownCA
                | AlertDescription::AccessDenied,
            ) => Some(Self::NeedsOurCertificate),
            _ => None,
        }
    }

    /// Whether the same request may succeed later without a change of settings.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Other(_) | Self::NoTls)
    }

    /// Returns what an operator can do about it.
    pub fn what_to_do(&self) -> &'static str {
        match self {
            Self::Certificate(fault) => fault.what_to_do(),
            Self::NeedsOurCertificate => {
                "set client_cert_file and client_key_file for this registry to a certificate that it accepts"
            }
            Self::NoTls => {
                "set plain_http for this registry, or write http:// in front: it seems to speak plain HTTP"
            }
            Self::OtherTls => "enable TLS 1.2 or 1.3 on the registry",
            Self::ProxyCredential => {
                "set the proxy's user name and password in proxy (or proxy_password_file) of this registry"
            }
            Self::Other(_) => "check the registry's address and the network to it",
        }
    }
}

impl fmt::Display for ConnectFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate(fault) => fault.fmt(out),
            Self::NeedsOurCertificate => out.write_str("it requires a client certificate, or refuses ours"),
            Self::NoTls => out.write_str("it does not speak TLS"),
            Self::OtherTls => out.write_str("it has no TLS version or cipher in common with us"),
            Self::ProxyCredential => out.write_str("the proxy requires a credential"),
            Self::Other(text) => out.write_str(text),
        }
    }
}

/// Returns the first error of a type among an error and its causes.
pub(crate) fn among_causes<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut cause = Some(error);
    while let Some(one) = cause {
        if let Some(found) = one.downcast_ref() {
            return Some(found);
        }
        // `source` of an I/O error skips the error that it wraps.
        let wrapped = one
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref);
        cause = wrapped.map_or_else(|| one.source(), |inner| Some(inner));
    }
    None
}

/// Returns the innermost cause, such as "Connection refused". Never contains the URL.
pub(crate) fn innermost(error: &reqwest::Error) -> String {
    let mut cause = error.source();
    while let Some(deeper) = cause.and_then(Error::source) {
        cause = Some(deeper);
    }
    let text = cause.map_or_else(|| "the connection failed".to_owned(), ToString::to_string);
    tame(&text, 200)
}
