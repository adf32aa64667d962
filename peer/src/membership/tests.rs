use std::sync::atomic::{AtomicI64, Ordering};

use futures_util::future::BoxFuture;
use process::mutual::ClientCertificate;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType, SignatureAlgorithm,
};
use store::testing::Signer;
use tempfile::TempDir;
use wire::Validity;

use super::*;
use crate::joining::{DirectJoining, Joining};

/// 2027-01-15T08:00:00Z
const NOW: i64 = 1_800_000_000;
const DAY: i64 = 86_400;

/// A manager's authority and its signing key.
pub(crate) struct Authority {
    ca: CertifiedIssuer<'static, KeyPair>,
    /// Signs for the cluster `default`.
    pub(crate) signer: Signer,
    now: Arc<AtomicI64>,
}

/// A peer that has joined.
pub(crate) struct JoinedPeer {
    pub(crate) membership: Membership,
    folder: TempDir,
}

struct Point(PublicKey);

impl PublicKeyData for Point {
    fn der_bytes(&self) -> &[u8] {
        self.0.point()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

impl Authority {
    pub(crate) fn new() -> Self {
        process::install_tls_provider();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params
            .distinguished_name
            .push(DnType::CommonName, "an authority of a test");
        let key = KeyPair::generate().expect("a key");
        Self {
            ca: CertifiedIssuer::self_signed(params, key).expect("an authority"),
            signer: Signer::of("default"),
            now: Arc::new(AtomicI64::new(NOW)),
        }
    }

    /// Sets the clock of all peers of this authority.
    pub(crate) fn set_clock(&self, now_unix: i64) {
        self.now.store(now_unix, Ordering::SeqCst);
    }

    fn clock(&self) -> Clock {
        let now = Arc::clone(&self.now);
        Arc::new(move || now.load(Ordering::SeqCst) * 1_000)
    }

    fn certificate(&self, identity: &PeerIdentity, key: PublicKey, validity: Validity) -> String {
        let mut params = CertificateParams::default();
        let date = |unix| time::OffsetDateTime::from_unix_timestamp(unix).expect("a date");
        params.not_before = date(validity.not_before);
        params.not_after = date(validity.not_after);
        params.subject_alt_names = vec![
            SanType::DnsName(PEER_HOST.try_into().expect("a name")),
            SanType::URI(identity.to_uri().try_into().expect("a URI")),
        ];
        let signed = params.signed_by(&Point(key), &self.ca).expect("signed");
        signed.pem()
    }

    pub(crate) fn removals(&self, number: i64, peers: &[Uuid]) -> Signed<RemovalList> {
        let list = RemovalList {
            number,
            peers: peers.iter().copied().collect(),
        };
        self.signer.sign(&list)
    }

    fn joined(&self, identity: &PeerIdentity, key: PublicKey) -> Joined {
        Joined {
            certificate_pem: self.certificate(identity, key, Validity::from(NOW)),
            ca_pem: self.ca.pem(),
            signing_key: self.signer.verifying_key(),
            removals: self.removals(0, &[]),
        }
    }

    /// A join with the machine's clock.
    pub(crate) fn directly(self, role: Role, cluster: &str) -> Joining {
        let identity = identity(role, cluster);
        let ca = fingerprint(&self.ca.pem()).expect("an authority");
        let join = move |key| -> BoxFuture<'static, anyhow::Result<Joined>> {
            let now = process::clock::unix_ms() / 1_000;
            let mut joined = self.joined(&identity, key);
            joined.certificate_pem = self.certificate(&identity, key, Validity::from(now));
            Box::pin(async move { Ok(joined) })
        };
        Joining::Direct(DirectJoining {
            ca,
            join: Box::new(join),
        })
    }

    pub(crate) fn member(&self, role: Role, cluster: &str) -> JoinedPeer {
        let folder = tempfile::tempdir().expect("a folder");
        let key = OwnKey::at(folder.path()).expect("a key");
        let joined = self.joined(&identity(role, cluster), key.public);
        let membership = Membership::begin(folder.path(), joined, self.clock()).expect("a member");
        JoinedPeer { membership, folder }
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl JoinedPeer {
    pub(crate) fn shown(&self) -> ClientCertificate {
        ClientCertificate::from_der(&self.der())
    }

    fn der(&self) -> Vec<u8> {
        let pem = self.membership.read(|known| known.joined.certificate_pem.clone());
        mutual::certificates(&pem).expect("one").remove(0).to_vec()
    }

    pub(crate) fn peer(&self) -> Uuid {
        self.membership.identity().peer
    }
}

impl Membership {
    /// A client for other peers with this judge alone.
    pub(crate) fn judging(&self, judge: mutual::Judge) -> reqwest::Client {
        mutual::client(&self.ca_pem(), &self.0.own, PEER_HOST, judge).expect("a client")
    }

    /// A client that trusts another authority, and shows a certificate of its own.
    pub(crate) fn calling_peers_of(&self, other: &Self) -> reqwest::Client {
        let judge = Arc::new(|_: &[u8]| Ok(()));
        mutual::client(&other.ca_pem(), &self.0.own, PEER_HOST, judge).expect("a client")
    }
}

pub(crate) fn identity(role: Role, cluster: &str) -> PeerIdentity {
    PeerIdentity {
        peer: Uuid::new_v4(),
        cluster: cluster.parse().expect("a name"),
        role,
    }
}

#[test]
fn a_membership_outlives_a_restart_with_its_removals() {
    let authority = Authority::new();
    let member = authority.member(Role::Node, "default");
    let gone = Uuid::from_u128(7);
    member.membership.learn_removals(authority.removals(3, &[gone]));
    let folder = member.folder.path();
    let again = Membership::open(folder, authority.clock())
        .expect("read")
        .expect("there");
    assert_eq!(again.identity(), member.membership.identity());
    assert_eq!(again.removals_known(), 3);
    for private in [KEY, MEMBERSHIP] {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(folder.join(private))
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{private}");
    }
}

#[test]
fn only_peers_of_our_cluster_are_trusted() {
    let authority = Authority::new();
    let ours = authority.member(Role::Seed, "default").membership;
    let (node, seed) = (
        authority.member(Role::Node, "default"),
        authority.member(Role::Seed, "default"),
    );
    assert_eq!(ours.judge(&node.der()).expect("believed").peer, node.peer());
    assert_eq!(ours.judge_seed(&node.der()), Err(CertificateError::NotASeed));
    assert_eq!(ours.judge_seed(&seed.der()), Ok(()));
    let elsewhere = authority.member(Role::Seed, "elsewhere");
    assert!(matches!(
        ours.judge(&elsewhere.der()),
        Err(CertificateError::OtherCluster { .. })
    ));
    assert!(matches!(ours.judge(b"junk"), Err(CertificateError::NotAPeer(_))));
}

#[test]
fn a_certificate_that_is_not_valid_now_is_not_trusted() {
    let authority = Authority::new();
    let ours = authority.member(Role::Seed, "default").membership;
    let node = authority.member(Role::Node, "default");
    for (now, holds) in [
        (NOW + 29 * DAY, true),
        (NOW + 31 * DAY, false),
        (NOW - DAY, false),
    ] {
        authority.set_clock(now);
        assert_eq!(ours.judge(&node.der()).is_ok(), holds, "{now}");
    }
}

#[test]
fn the_removal_list_wins_over_certificates_and_only_grows() {
    let authority = Authority::new();
    let ours = authority.member(Role::Seed, "default").membership;
    let node = authority.member(Role::Node, "default");
    ours.learn_removals(Authority::new().removals(9, &[node.peer()]));
    assert!(
        ours.judge(&node.der()).is_ok(),
        "another manager's list says nothing here"
    );
    ours.learn_removals(authority.removals(2, &[node.peer()]));
    assert_eq!(
        ours.judge(&node.der()),
        Err(CertificateError::Removed(node.peer()))
    );
    ours.learn_removals(authority.removals(1, &[]));
    assert_eq!(
        ours.judge(&node.der()),
        Err(CertificateError::Removed(node.peer()))
    );
    ours.learn_removals(authority.removals(3, &[]));
    assert!(ours.judge(&node.der()).is_ok());
}

#[test]
fn a_renewed_certificate_is_for_the_same_peer_and_key() {
    let authority = Authority::new();
    let member = authority.member(Role::Node, "default");
    let ours = &member.membership;
    let key = ours.read(|known| known.certificate.public_key);
    authority.set_clock(NOW + 2 * DAY);
    assert!(ours.is_due());
    let mut renewed = authority.joined(ours.identity(), key);
    renewed.certificate_pem = authority.certificate(ours.identity(), key, Validity::from(NOW + 2 * DAY));
    ours.renew(renewed.clone()).expect("taken over");
    assert!(!ours.is_due());
    let as_seed = PeerIdentity {
        role: Role::Seed,
        ..ours.identity().clone()
    };
    let other = authority.joined(&as_seed, key);
    assert!(ours.renew(other).is_err());
}

#[test]
fn an_expired_certificate_is_kept_for_renewal_and_a_wrong_clock_is_an_error() {
    let authority = Authority::new();
    let member = authority.member(Role::Node, "default");
    let opened = |now| {
        authority.set_clock(now);
        Membership::open(member.folder.path(), authority.clock())
    };
    assert!(opened(NOW + 31 * DAY).is_ok());
    let refused = |at| {
        let Err(refused) = opened(at) else {
            panic!("a certificate was used at {at}");
        };
        refused.downcast::<StoredMembershipError>()
    };
    assert!(matches!(
        refused(NOW - DAY),
        Ok(StoredMembershipError::NotValidYet { now, .. }) if now == NOW - DAY
    ));
    assert!(matches!(
        refused(NOW + 121 * DAY),
        Ok(StoredMembershipError::Expired { now, .. }) if now == NOW + 121 * DAY
    ));
}

#[test]
fn a_folder_without_a_membership_has_none_and_another_key_is_refused() {
    let authority = Authority::new();
    let empty = tempfile::tempdir().expect("a folder");
    assert!(
        Membership::open(empty.path(), authority.clock())
            .expect("read")
            .is_none()
    );
    let member = authority.member(Role::Node, "default");
    std::fs::remove_file(member.folder.path().join(KEY)).expect("removed");
    let Err(refused) = Membership::open(member.folder.path(), authority.clock()) else {
        panic!("a certificate was used without its key");
    };
    let folder = member.folder.path().to_owned();
    assert_eq!(
        refused.downcast_ref::<StoredMembershipError>(),
        Some(&StoredMembershipError::OtherKey { folder })
    );
}
