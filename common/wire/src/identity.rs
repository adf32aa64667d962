//! The identity of a peer, as its certificate states it.
//!
//! **Invariant:** a certificate names exactly one identity or none. Uuid, cluster and role are in one URI
//! (`stoker://<cluster>/<seed|node>/<uuid>`) with only one spelling.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::{PublicKey, Role};

/// The DNS name in every peer's certificate, used for calls to any address.
pub const PEER_HOST: &str = "peer.stoker.internal";
/// The DNS name in the certificate of the manager's peer port.
pub const MANAGER_HOST: &str = "manager.stoker.internal";

const SCHEME: &str = "stoker://";
const LONGEST_CLUSTER: usize = 100;

/// The name of a cluster: 1 to 100 letters, digits, `.`, `_` and `-`, which need no escape in a URI.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClusterName(String);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is not a cluster name: write 1 to 100 letters, digits, '.', '_' and '-'")]
pub struct BadCluster {
    given: String,
}

impl ClusterName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for ClusterName {
    fn default() -> Self {
        Self("default".to_owned())
    }
}

impl FromStr for ClusterName {
    type Err = BadCluster;

    fn from_str(text: &str) -> Result<Self, BadCluster> {
        let is_word = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-');
        let is_good = (1..=LONGEST_CLUSTER).contains(&text.len()) && text.chars().all(is_word);
        if is_good {
            return Ok(Self(text.to_owned()));
        }
        Err(BadCluster {
            given: text.chars().take(100).collect(),
        })
    }
}

impl TryFrom<String> for ClusterName {
    type Error = BadCluster;

    fn try_from(text: String) -> Result<Self, BadCluster> {
        text.parse()
    }
}

impl From<ClusterName> for String {
    fn from(name: ClusterName) -> Self {
        name.0
    }
}

impl fmt::Display for ClusterName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// The identity in a peer's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerIdentity {
    pub peer: Uuid,
    pub cluster: ClusterName,
    pub role: Role,
}

/// A certificate that names no peer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoIdentity {
    #[error("the certificate is unreadable")]
    Unreadable,
    #[error("the certificate has {0} URIs, but a peer's certificate has exactly one")]
    Uris(usize),
    #[error("the certificate's URI {0:?} names no peer")]
    BadUri(String),
    #[error("the certificate's key is not an ECDSA P-256 key")]
    OtherKey,
    #[error("not a peer's certificate: it lacks the name {PEER_HOST}")]
    NotForPeers,
}

impl PeerIdentity {
    /// Returns the URI in the certificate.
    pub fn to_uri(&self) -> String {
        format!("{SCHEME}{}/{}/{}", self.cluster, self.role.word(), self.peer)
    }

    /// Parses the text of [`PeerIdentity::to_uri`]; refuses every other spelling.
    pub fn from_uri(uri: &str) -> Result<Self, NoIdentity> {
        let bad = || NoIdentity::BadUri(uri.chars().take(200).collect());
        let parts: Vec<&str> = uri.strip_prefix(SCHEME).ok_or_else(bad)?.split('/').collect();
        let [cluster, role, peer] = parts[..] else {
            return Err(bad());
        };
        let read = Self {
            peer: peer.parse().map_err(|_| bad())?,
            cluster: cluster.parse().map_err(|_| bad())?,
            role: Role::from_word(role).ok_or_else(bad)?,
        };
        // A uuid has several spellings.
        if read.to_uri() == uri {
            Ok(read)
        } else {
            Err(bad())
        }
    }
}

/// The content of a peer's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerCertificate {
    pub identity: PeerIdentity,
    pub validity: Validity,
    pub public_key: PublicKey,
}

impl PeerCertificate {
    /// Parses a certificate. TLS verifies the signature of the CA.
    pub fn read(der: &[u8]) -> Result<Self, NoIdentity> {
        let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| NoIdentity::Unreadable)?;
        if !rest.is_empty() {
            return Err(NoIdentity::Unreadable);
        }
        Ok(Self {
            identity: identity(&certificate)?,
            validity: validity(&certificate),
            public_key: PublicKey::from_point(&certificate.public_key().subject_public_key.data)
                .ok_or(NoIdentity::OtherKey)?,
        })
    }
}

fn identity(certificate: &X509Certificate<'_>) -> Result<PeerIdentity, NoIdentity> {
    // Also an error if there are two such extensions.
    let names = certificate
        .subject_alternative_name()
        .map_err(|_| NoIdentity::Unreadable)?
        .ok_or(NoIdentity::NotForPeers)?;
    let names = &names.value.general_names;
    let uris: Vec<&str> = names
        .iter()
        .filter_map(|name| match name {
            GeneralName::URI(uri) => Some(*uri),
            _ => None,
        })
        .collect();
    let is_for_peers =
        |name: &GeneralName<'_>| matches!(name, GeneralName::DNSName(host) if *host == PEER_HOST);
    match uris[..] {
        [uri] if names.iter().any(is_for_peers) => PeerIdentity::from_uri(uri),
        [_] => Err(NoIdentity::NotForPeers),
        _ => Err(NoIdentity::Uris(uris.len())),
    }
}

/// The validity of a certificate in Unix seconds, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    pub not_before: i64,
    pub not_after: i64,
}

/// The state of a certificate at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateStanding {
    /// One of the two clocks is wrong.
    NotYet,
    Valid,
    /// Expired; only good for a renewal.
    Renewable,
    Over,
}

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

impl Validity {
    const LASTS: i64 = 30 * DAY;
    /// Certificates begin earlier, because clocks differ a little.
    pub const BACKDATED: i64 = HOUR;
    /// How long after its end a certificate can be renewed.
    pub const RENEWABLE: i64 = 90 * DAY;
    /// How often a peer renews.
    pub const RENEWED_EVERY: i64 = DAY;

    /// Returns the validity of a certificate that is issued now.
    pub fn from(now_unix: i64) -> Self {
        Self {
            not_before: now_unix - Self::BACKDATED,
            not_after: now_unix + Self::LASTS,
        }
    }

    /// Returns how long after its issue a certificate can be used or renewed.
    pub const fn longest() -> i64 {
        Self::LASTS + Self::RENEWABLE
    }

    pub fn standing(self, now_unix: i64) -> CertificateStanding {
        if now_unix < self.not_before {
            CertificateStanding::NotYet
        } else if now_unix <= self.not_after {
            CertificateStanding::Valid
        } else if now_unix <= self.not_after + Self::RENEWABLE {
            CertificateStanding::Renewable
        } else {
            CertificateStanding::Over
        }
    }

    /// Whether the peer renews it now.
    pub fn is_due(self, now_unix: i64) -> bool {
        now_unix >= self.not_before + Self::BACKDATED + Self::RENEWED_EVERY
    }
}

/// Returns the validity of a DER certificate.
pub fn validity_of(der: &[u8]) -> Result<Validity, NoIdentity> {
    let (_, certificate) = X509Certificate::from_der(der).map_err(|_| NoIdentity::Unreadable)?;
    Ok(validity(&certificate))
}

fn validity(certificate: &X509Certificate<'_>) -> Validity {
    let validity = certificate.validity();
    Validity {
        not_before: validity.not_before.timestamp(),
        not_after: validity.not_after.timestamp(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::*;

    const ID: &str = "4f3c1c2e-7f5b-4c8e-9f0a-0d6f2f1f2a3b";

    fn certificate(names: &[&str], uris: &[&str]) -> Vec<u8> {
        let mut params = CertificateParams::default();
        for name in names {
            params
                .subject_alt_names
                .push(SanType::DnsName((*name).try_into().expect("a name")));
        }
        for uri in uris {
            params
                .subject_alt_names
                .push(SanType::URI((*uri).try_into().expect("a URI")));
        }
        let key = KeyPair::generate().expect("a key");
        params.self_signed(&key).expect("signed").der().to_vec()
    }

    proptest! {
        #[test]
        fn an_identity_is_read_back(cluster in "[A-Za-z0-9._-]{1,100}", peer: u128, seed: bool) {
            let identity = PeerIdentity {
                peer: Uuid::from_u128(peer),
                cluster: cluster.parse().expect("a name"),
                role: if seed { Role::Seed } else { Role::Node },
            };
            prop_assert_eq!(PeerIdentity::from_uri(&identity.to_uri()), Ok(identity));
        }

        #[test]
        fn an_accepted_uri_has_one_spelling(text in "(stoker://)?[a-z./%]{0,12}/(seed|node|root)/[0-9a-fA-F-]{0,40}") {
            if let Ok(identity) = PeerIdentity::from_uri(&text) {
                prop_assert_eq!(identity.to_uri(), text);
            }
        }
    }

    #[test]
    fn other_schemes_roles_and_spellings_are_refused() {
        for uri in [
            format!("http://default/seed/{ID}"),
            format!("STOKER://default/seed/{ID}"),
            format!("stoker://default/admin/{ID}"),
            format!("stoker://default/Seed/{ID}"),
            format!("stoker:///seed/{ID}"),
            format!("stoker://a%2Fb/seed/{ID}"),
            format!("stoker://a/b/seed/{ID}"),
            format!("stoker://default/seed/{ID}/"),
            format!("stoker://default/seed/{ID}?x"),
            format!("stoker://default/seed/{}", ID.to_uppercase()),
            format!("stoker://default/seed/{}", ID.replace('-', "")),
            format!("stoker://default/seed/urn:uuid:{ID}"),
            "stoker://default/seed/".to_owned(),
            String::new(),
        ] {
            assert!(PeerIdentity::from_uri(&uri).is_err(), "{uri}");
        }
    }

    #[test]
    fn a_certificate_names_one_peer_or_none() {
        let (seed, node) = (
            format!("stoker://default/seed/{ID}"),
            format!("stoker://default/node/{ID}"),
        );
        let read = |names: &[&str], uris: &[&str]| PeerCertificate::read(&certificate(names, uris));
        assert_eq!(
            read(&[PEER_HOST], &[&seed]).map(|read| read.identity.to_uri()),
            Ok(seed.clone())
        );
        assert_eq!(read(&[PEER_HOST], &[&seed, &node]), Err(NoIdentity::Uris(2)));
        assert_eq!(read(&[PEER_HOST], &[&seed, &seed]), Err(NoIdentity::Uris(2)));
        assert_eq!(
            read(&[PEER_HOST], &[&seed, "https://example.com/"]),
            Err(NoIdentity::Uris(2))
        );
        assert_eq!(read(&[PEER_HOST], &[]), Err(NoIdentity::Uris(0)));
        assert_eq!(read(&[MANAGER_HOST], &[&seed]), Err(NoIdentity::NotForPeers));
        assert_eq!(read(&[], &[]), Err(NoIdentity::NotForPeers));
        let root = format!("stoker://default/root/{ID}");
        assert_eq!(
            read(&[PEER_HOST], &[&root]),
            Err(NoIdentity::BadUri(root.clone()))
        );
        assert_eq!(PeerCertificate::read(b"junk"), Err(NoIdentity::Unreadable));
        let with_more = [certificate(&[PEER_HOST], &[&seed]), vec![0]].concat();
        assert_eq!(PeerCertificate::read(&with_more), Err(NoIdentity::Unreadable));
    }

    #[test]
    fn a_certificate_holds_for_30_days_and_is_renewed_for_90_more() {
        let now = 1_800_000_000;
        let validity = Validity::from(now);
        for (at, standing) in [
            (now - HOUR - 1, CertificateStanding::NotYet),
            (now - HOUR, CertificateStanding::Valid),
            (now + 30 * DAY, CertificateStanding::Valid),
            (now + 30 * DAY + 1, CertificateStanding::Renewable),
            (now + 120 * DAY, CertificateStanding::Renewable),
            (now + 120 * DAY + 1, CertificateStanding::Over),
        ] {
            assert_eq!(validity.standing(at), standing, "{at}");
        }
        assert!(!validity.is_due(now + DAY - 1) && validity.is_due(now + DAY));
    }
}
