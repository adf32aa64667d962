use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    SanType,
};
use time::OffsetDateTime;

use super::*;

const NOW: u64 = 1_800_000_000;
const DAY: i64 = 86_400;

struct Made {
    der: CertificateDer<'static>,
    pem: String,
}

/// What a certificate says.
struct Wanted {
    kind: IsCa,
    names: &'static [&'static str],
    from_day: i64,
    to_day: i64,
    purposes: Vec<ExtendedKeyUsagePurpose>,
}

impl Wanted {
    fn new(kind: IsCa) -> Self {
        Self {
            kind,
            names: &["r.lan"],
            from_day: -1,
            to_day: 1,
            purposes: Vec::new(),
        }
    }

    fn params(&self) -> CertificateParams {
        let date = |day: i64| {
            let unix = i64::try_from(NOW).expect("small") + day * DAY;
            OffsetDateTime::from_unix_timestamp(unix).expect("a date")
        };
        let mut params = CertificateParams::default();
        params.is_ca = self.kind;
        params.distinguished_name.push(DnType::CommonName, "r.lan");
        params.subject_alt_names = self
            .names
            .iter()
            .map(|&name| SanType::DnsName(name.try_into().expect("a name")))
            .collect();
        (params.not_before, params.not_after) = (date(self.from_day), date(self.to_day));
        params.extended_key_usages.clone_from(&self.purposes);
        params
    }

    fn self_signed(&self) -> Made {
        let key = KeyPair::generate().expect("a key");
        let certificate = self.params().self_signed(&key).expect("signed");
        Made {
            der: certificate.der().clone(),
            pem: certificate.pem(),
        }
    }

    fn signed_by(&self, issuer: &CertifiedIssuer<'static, KeyPair>) -> Made {
        let key = KeyPair::generate().expect("a key");
        let certificate = self.params().signed_by(&key, issuer).expect("signed");
        Made {
            der: certificate.der().clone(),
            pem: certificate.pem(),
        }
    }
}

const CA: IsCa = IsCa::Ca(BasicConstraints::Unconstrained);

fn issuer(kind: IsCa) -> CertifiedIssuer<'static, KeyPair> {
    let key = KeyPair::generate().expect("a key");
    CertifiedIssuer::self_signed(Wanted::new(kind).params(), key).expect("signed")
}

fn verify(ca_file: &str, shown: &Made) -> Result<(), CertificateError> {
    let provider = aws_lc_rs::default_provider();
    let verifier = Verifier::new(Some(ca_file), &provider).expect("certificates");
    let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(NOW));
    let name = ServerName::try_from("r.lan").expect("a name");
    match verifier.verify_server_cert(&shown.der, &[], &name, &[], now) {
        Ok(_) => Ok(()),
        Err(Error::InvalidCertificate(fault)) => Err(fault),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn a_certificate_that_is_in_the_file_is_trusted_whoever_signed_it() {
    for kind in [CA, IsCa::NoCa, IsCa::ExplicitNoCa] {
        let alone = Wanted::new(kind).self_signed();
        assert_eq!(verify(&alone.pem, &alone), Ok(()), "{kind:?}");
        let issued = Wanted::new(kind).signed_by(&issuer(CA));
        assert_eq!(verify(&issued.pem, &issued), Ok(()), "{kind:?}");
    }
}

#[test]
fn a_certificate_that_is_not_in_the_file_needs_an_issuer_there() {
    let authority = issuer(CA);
    let other = Wanted::new(CA).self_signed();
    let issued = Wanted::new(IsCa::NoCa).signed_by(&authority);
    assert_eq!(verify(&authority.pem(), &issued), Ok(()));
    assert_eq!(
        verify(&other.pem, &issued),
        Err(CertificateError::BadSignature),
        "an issuer of the same name"
    );
    assert!(verify(&authority.pem(), &other).is_err(), "a CA's own");
    for kind in [CA, IsCa::NoCa] {
        let renewed = Wanted::new(kind).self_signed();
        assert!(verify(&other.pem, &renewed).is_err(), "a renewed one");
    }
}

#[test]
fn a_trusted_certificate_that_is_no_ca_issues_no_others() {
    let server = issuer(IsCa::ExplicitNoCa);
    let issued = Wanted::new(IsCa::NoCa).signed_by(&server);
    let verdict = verify(&server.pem(), &issued);
    assert_eq!(verdict, Err(CertificateError::UnknownIssuer));
}

#[test]
fn dates_names_and_purpose_are_checked_of_a_certificate_in_the_file_too() {
    for kind in [CA, IsCa::NoCa, IsCa::ExplicitNoCa] {
        let verdict = |change: &dyn Fn(&mut Wanted)| {
            let mut wanted = Wanted::new(kind);
            change(&mut wanted);
            let made = wanted.self_signed();
            verify(&made.pem, &made)
        };
        assert!(matches!(
            verdict(&|wanted| (wanted.from_day, wanted.to_day) = (-9, -2)),
            Err(CertificateError::ExpiredContext { .. })
        ));
        assert!(matches!(
            verdict(&|wanted| (wanted.from_day, wanted.to_day) = (2, 9)),
            Err(CertificateError::NotValidYetContext { .. })
        ));
        for names in [&["other.lan"][..], &[]] {
            assert!(matches!(
                verdict(&|wanted| wanted.names = names),
                Err(CertificateError::NotValidForNameContext { .. })
            ));
        }
        assert!(matches!(
            verdict(&|wanted| wanted.purposes = vec![ExtendedKeyUsagePurpose::ClientAuth]),
            Err(CertificateError::InvalidPurposeContext { .. })
        ));
        for purpose in [ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::Any] {
            assert_eq!(verdict(&|wanted| wanted.purposes = vec![purpose.clone()]), Ok(()));
        }
    }
}

#[test]
fn a_bundle_keeps_its_certificates_and_nothing_else() {
    let (first, second) = (
        Wanted::new(CA).self_signed(),
        Wanted::new(IsCa::NoCa).self_signed(),
    );
    let key = KeyPair::generate().expect("a key").serialize_pem();
    let locked =
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
    let junk = "-----BEGIN CERTIFICATE-----\njunk\n-----END CERTIFICATE-----\n";
    let bundle = format!(
        "# Ours\n{}{key}\nsubject=CN = x\n{junk}{locked}{}",
        first.pem, second.pem
    );
    for text in [
        bundle.clone(),
        bundle.replace('\n', "\r\n"),
        bundle.trim_end().to_owned(),
    ] {
        let latin = [b"# \xe9\n", text.as_bytes()].concat();
        let read = TrustedCertificates::read(&latin).expect("certificates");
        assert_eq!(read.0, [first.der.clone(), second.der.clone()]);
        let pem = read.to_pem();
        assert!(!pem.contains("KEY") && !pem.contains('\r'), "{pem}");
        assert_eq!(TrustedCertificates::read(pem.as_bytes()), Some(read));
        assert_eq!(verify(&text, &second), Ok(()));
    }
    for nothing in ["", "junk", junk, &key] {
        assert_eq!(TrustedCertificates::read(nothing.as_bytes()), None, "{nothing}");
    }
}
