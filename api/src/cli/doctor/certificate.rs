//! Checks a server's certificate: its issuer, its expiry, and whether it is trusted.

use oci::ConnectFault;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::finding::Finding;

const DAY_S: i64 = 86_400;
const SOON_DAYS: i64 = 14;

/// The fields that findings show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Certificate {
    issuer: String,
    ends_unix: i64,
}

impl Certificate {
    pub(super) fn read(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        Some(Self {
            issuer: certificate.issuer().to_string(),
            ends_unix: certificate.validity().not_after.timestamp(),
        })
    }

    fn describe(&self, now_unix: i64) -> String {
        let days = (self.ends_unix - now_unix) / DAY_S;
        let ends = time::OffsetDateTime::from_unix_timestamp(self.ends_unix)
            .map_or_else(|_| "?".to_owned(), |ends| ends.date().to_string());
        format!("issued by {}, expires {ends} (in {days} days)", self.issuer)
    }
}

/// Whether the manager's client trusts the certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trust {
    Trusted,
    /// The configuration turns the check off.
    NotChecked,
    Refused(ConnectFault),
}

pub(super) fn check(server: &str, certificate: &Certificate, trust: &Trust, now_unix: i64) -> Finding {
    let what = format!("certificate of {server}");
    let found = certificate.describe(now_unix);
    let left = certificate.ends_unix - now_unix;
    match trust {
        _ if left <= 0 => Finding::fail(what, format!("it has expired: {found}"), "renew it"),
        Trust::Refused(fault) => Finding::fail(what, format!("{fault}: {found}"), fault.what_to_do()),
        Trust::NotChecked => Finding::warn(
            what,
            format!("not checked (insecure_skip_verify), so another server could answer: {found}"),
            "set ca_file instead of insecure_skip_verify",
        ),
        Trust::Trusted if left < SOON_DAYS * DAY_S => Finding::warn(what, found, "renew it soon"),
        Trust::Trusted => Finding::ok(what, found),
    }
}

#[cfg(test)]
mod tests {
    use oci::CertificateFault;

    use super::super::finding::Verdict;
    use super::*;

    const NOW: i64 = 1_795_256_288;

    fn certificate(days: i64) -> Certificate {
        Certificate {
            issuer: "CN=Lab".to_owned(),
            ends_unix: NOW + days * DAY_S,
        }
    }

    #[test]
    fn a_trusted_certificate_is_ok() {
        let finding = check("r.lan", &certificate(90), &Trust::Trusted, NOW);
        assert_eq!(finding.verdict, Verdict::Ok);
        assert!(
            finding.found.contains("CN=Lab") && finding.found.contains("90"),
            "{finding:?}"
        );
    }

    #[test]
    fn a_certificate_that_expires_soon_is_a_warning() {
        let soon = check("r.lan", &certificate(3), &Trust::Trusted, NOW);
        assert_eq!(soon.verdict, Verdict::Warn);
        let ended = check(
            "r.lan",
            &certificate(-1),
            &Trust::Refused(ConnectFault::Certificate(CertificateFault::Expired(None))),
            NOW,
        );
        assert_eq!(ended.verdict, Verdict::Fail);
        assert!(ended.to_do.is_some_and(|to_do| !to_do.contains("ca_file")));
    }

    #[test]
    fn an_unknown_authority_is_a_failure_that_names_the_key_to_set() {
        let refused = Trust::Refused(ConnectFault::Certificate(CertificateFault::UnknownIssuer));
        let finding = check("r.lan", &certificate(90), &refused, NOW);
        assert_eq!(finding.verdict, Verdict::Fail);
        assert!(finding.line().contains("ca_file"), "{finding:?}");
        let unchecked = check("r.lan", &certificate(90), &Trust::NotChecked, NOW);
        assert_eq!(unchecked.verdict, Verdict::Warn);
    }

    #[test]
    fn junk_is_no_certificate() {
        assert_eq!(Certificate::read(b"junk"), None);
        assert_eq!(Certificate::read(&[]), None);
    }
}
