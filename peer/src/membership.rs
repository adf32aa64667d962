//! This process's membership of one manager: its key and certificate, the manager's authority, the key that verifies the
//! manager's signatures, and the list of removed peers. It is stored in the data folder, so that a peer that restarts
//! without its manager serves at once.
//!
//! **Invariants:** the private key never leaves the data folder. Another peer is trusted only if our authority signed its
//! certificate, the certificate names our cluster and is valid now, and the removal list does not name the peer.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use parking_lot::{Mutex, RwLock};
use process::files::{private_file, write_private};
use process::mutual::{self, Callers, Judge, MutualAcceptor, OwnCertificate};
use tokio::sync::watch;
use tracing::{info, warn};
use uuid::Uuid;
use wire::{
    CaFingerprint, CertificateStanding, Joined, MANAGER_HOST, NoIdentity, NotSigned, PEER_HOST,
    PeerCertificate, PeerIdentity, PublicKey, Record, RemovalList, Role, Signed, VerifyingKey,
};

const KEY: &str = "membership.key";
const MEMBERSHIP: &str = "membership.json";

/// Milliseconds since 1970.
pub(crate) type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// This peer's membership. Clones share it.
#[derive(Clone)]
pub struct Membership(Arc<MembershipState>);

struct MembershipState {
    folder: PathBuf,
    key: Vec<u8>,
    own: OwnCertificate,
    identity: PeerIdentity,
    clock: Clock,
    known: RwLock<CurrentMembership>,
    removals: watch::Sender<Arc<RemovalList>>,
    read: CertificateCache,
}

/// Parsed certificates by their bytes: each one is shown with very many requests.
#[derive(Default)]
struct CertificateCache(Mutex<HashMap<Vec<u8>, PeerCertificate>>);

impl CertificateCache {
    const KEPT: usize = 4_096;

    fn read(&self, der: &[u8]) -> Result<PeerCertificate, NoIdentity> {
        let mut known = self.0.lock();
        if let Some(read) = known.get(der) {
            return Ok(read.clone());
        }
        let read = PeerCertificate::read(der)?;
        if known.len() >= Self::KEPT {
            known.clear();
        }
        known.insert(der.to_vec(), read.clone());
        Ok(read)
    }
}

struct CurrentMembership {
    joined: Joined,
    certificate: PeerCertificate,
}

/// Why a certificate is not trusted here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CertificateError {
    #[error("no certificate was shown: only peers may send requests here")]
    Missing,
    #[error("the certificate is not a peer's: {0}")]
    NotAPeer(#[from] NoIdentity),
    #[error(
        "the certificate is for cluster {theirs}, and this peer is in cluster {ours}: only peers of one cluster share"
    )]
    OtherCluster { theirs: String, ours: String },
    #[error("peer {0} was removed by the manager")]
    Removed(Uuid),
    #[error(
        "the certificate is not valid now (valid from {not_before} to {not_after}, this peer's clock says {now}, Unix \
         seconds): check both clocks; a peer renews its certificate when it reaches the manager"
    )]
    NotValidNow {
        not_before: i64,
        not_after: i64,
        now: i64,
    },
    #[error("the certificate is for a node: only a seed may serve this")]
    NotASeed,
}

/// Why the stored membership cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StoredMembershipError {
    #[error(
        "the certificate in {} does not match the key in {} ({}): remove both, and join again",
        MEMBERSHIP, KEY, .folder.display()
    )]
    OtherKey { folder: PathBuf },
    #[error(
        "this peer's certificate is not valid before {not_before}, and this machine's clock says {now} (Unix seconds): \
         set the clock"
    )]
    NotValidYet { not_before: i64, now: i64 },
    #[error(
        "this peer's certificate expired at {not_after} and this machine's clock says {now} (Unix seconds), too late to \
         renew it: check the clock, or remove {} and {} in {} and join again",
        MEMBERSHIP, KEY, .folder.display()
    )]
    Expired {
        not_after: i64,
        now: i64,
        folder: PathBuf,
    },
}

/// This peer's key, created when there is none.
pub(crate) struct OwnKey {
    pkcs8: Vec<u8>,
    pub(crate) public: PublicKey,
}

impl OwnKey {
    pub(crate) fn at(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join(KEY);
        let made = || {
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new())
                .map(|document| document.as_ref().to_vec())
                .unwrap_or_default()
        };
        let pkcs8 = private_file(&path, made).with_context(|| format!("the key in {}", path.display()))?;
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &pkcs8).ok();
        let public = pair.and_then(|pair| PublicKey::from_point(pair.public_key().as_ref()));
        let public = public.with_context(|| {
            format!(
                "{} does not hold a peer's key: remove it and {MEMBERSHIP} beside it, and join again",
                path.display()
            )
        })?;
        Ok(Self { pkcs8, public })
    }
}

impl Membership {
    /// Reads the data folder; none before the first join.
    pub(crate) fn open(folder: &Path, clock: Clock) -> anyhow::Result<Option<Self>> {
        let path = folder.join(MEMBERSHIP);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        };
        let joined: Joined = serde_json::from_slice(&text).with_context(|| {
            format!(
                "{} cannot be parsed: remove it and {KEY} beside it, and join again",
                path.display()
            )
        })?;
        Self::of(folder, OwnKey::at(folder)?, joined, clock).map(Some)
    }

    /// Stores what the manager sent for our key.
    pub(crate) fn begin(folder: &Path, joined: Joined, clock: Clock) -> anyhow::Result<Self> {
        let membership = Self::of(folder, OwnKey::at(folder)?, joined, clock)?;
        membership.store()?;
        Ok(membership)
    }

    fn of(folder: &Path, key: OwnKey, joined: Joined, clock: Clock) -> anyhow::Result<Self> {
        let certificate = certificate_in(&joined)?;
        ensure!(
            certificate.public_key == key.public,
            StoredMembershipError::OtherKey {
                folder: folder.to_owned()
            }
        );
        let now = clock() / 1_000;
        let validity = certificate.validity;
        match validity.standing(now) {
            CertificateStanding::Valid | CertificateStanding::Renewable => {}
            CertificateStanding::NotYet => bail!(StoredMembershipError::NotValidYet {
                not_before: validity.not_before,
                now,
            }),
            CertificateStanding::Over => bail!(StoredMembershipError::Expired {
                not_after: validity.not_after,
                now,
                folder: folder.to_owned(),
            }),
        }
        let removals = joined
            .removals
            .verify(&joined.signing_key)
            .context("the list of removed peers")?;
        let inner = MembershipState {
            folder: folder.to_owned(),
            own: OwnCertificate::new(&joined.certificate_pem, &key.pkcs8)?,
            key: key.pkcs8,
            identity: certificate.identity.clone(),
            clock,
            known: RwLock::new(CurrentMembership { joined, certificate }),
            removals: watch::Sender::new(Arc::new(removals)),
            read: CertificateCache::default(),
        };
        Ok(Self(Arc::new(inner)))
    }

    pub fn identity(&self) -> &PeerIdentity {
        &self.0.identity
    }

    /// Returns the fingerprint of our authority.
    pub(crate) fn authority(&self) -> anyhow::Result<CaFingerprint> {
        fingerprint(&self.ca_pem())
    }

    fn ca_pem(&self) -> String {
        self.read(|known| known.joined.ca_pem.clone())
    }

    fn read<T>(&self, look: impl FnOnce(&CurrentMembership) -> T) -> T {
        look(&self.0.known.read())
    }

    fn now_unix(&self) -> i64 {
        (self.0.clock)() / 1_000
    }

    /// Returns the identity in a certificate, if it is trusted. TLS has verified our authority's signature.
    pub(crate) fn judge(&self, der: &[u8]) -> Result<PeerIdentity, CertificateError> {
        let PeerCertificate {
            identity, validity, ..
        } = self.0.read.read(der)?;
        if self.0.removals.borrow().names(identity.peer) {
            return Err(CertificateError::Removed(identity.peer));
        }
        let ours = &self.0.identity.cluster;
        if identity.cluster != *ours {
            return Err(CertificateError::OtherCluster {
                theirs: identity.cluster.to_string(),
                ours: ours.to_string(),
            });
        }
        let now = self.now_unix();
        if validity.standing(now) != CertificateStanding::Valid {
            return Err(CertificateError::NotValidNow {
                not_before: validity.not_before,
                not_after: validity.not_after,
                now,
            });
        }
        Ok(identity)
    }

    fn judge_seed(&self, der: &[u8]) -> Result<(), CertificateError> {
        match self.judge(der)?.role {
            Role::Seed => Ok(()),
            Role::Node => Err(CertificateError::NotASeed),
        }
    }

    /// Completes when the manager removes the peer.
    pub(crate) fn removal_of(&self, peer: Uuid) -> impl Future<Output = ()> + Send + 'static {
        let mut removals = self.0.removals.subscribe();
        async move {
            if removals.wait_for(|list| list.names(peer)).await.is_err() {
                // The process ends.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Returns the number of our removal list.
    pub(crate) fn removals_known(&self) -> i64 {
        self.0.removals.borrow().number
    }

    /// Returns the key that verifies the manager's signatures.
    pub(crate) fn signing_key(&self) -> VerifyingKey {
        self.read(|known| known.joined.signing_key)
    }

    /// Returns the record, if the manager signed it.
    pub(crate) fn verify<T: Record>(&self, signed: &Signed<T>) -> Result<T, NotSigned> {
        signed.verify(&self.signing_key())
    }

    /// Keeps a newer list, if the manager signed it.
    pub(crate) fn learn_removals(&self, signed: Signed<RemovalList>) {
        let Ok(list) = self.verify(&signed) else {
            warn!(
                stoker.side = "manager",
                "list of removed peers without the manager's signature refused"
            );
            return;
        };
        if !list.replaces(&self.0.removals.borrow()) {
            return;
        }
        info!(
            number = list.number,
            removed = list.peers.len(),
            "list of removed peers learned"
        );
        self.0.removals.send_replace(Arc::new(list));
        self.change(|known| known.joined.removals = signed);
    }

    /// Uses a renewed certificate from now on, and stores it.
    pub(crate) fn renew(&self, joined: Joined) -> anyhow::Result<()> {
        let certificate = certificate_in(&joined)?;
        let ours = self.read(|known| known.certificate.public_key);
        ensure!(
            certificate.identity == self.0.identity && certificate.public_key == ours,
            "the manager renewed a certificate that is not ours: check that its address and the data folder belong together"
        );
        self.0.own.replace(&joined.certificate_pem, &self.0.key)?;
        let removals = joined.removals.clone();
        self.change(|known| {
            known.joined.certificate_pem = joined.certificate_pem;
            known.certificate = certificate;
        });
        self.learn_removals(removals);
        Ok(())
    }

    /// Returns whether the certificate is due for renewal: a day old.
    pub(crate) fn is_due(&self) -> bool {
        let now = self.now_unix();
        self.read(|known| known.certificate.validity.is_due(now))
    }

    fn change(&self, change: impl FnOnce(&mut CurrentMembership)) {
        change(&mut self.0.known.write());
        if let Err(error) = self.store() {
            warn!(stoker.side = "peer", %error, "membership could not be stored");
        }
    }

    fn store(&self) -> anyhow::Result<()> {
        let text = self.read(|known| serde_json::to_vec_pretty(&known.joined))?;
        let path = self.0.folder.join(MEMBERSHIP);
        write_private(&path, &text).with_context(|| path.display().to_string())
    }

    /// Returns an acceptor for connections of peers.
    pub(crate) fn acceptor(&self) -> anyhow::Result<MutualAcceptor> {
        Ok(MutualAcceptor::new(
            &self.ca_pem(),
            &self.0.own,
            Callers::MustShow,
        )?)
    }

    /// Returns a client for the manager.
    pub(crate) fn to_manager(&self) -> anyhow::Result<reqwest::Client> {
        let judge = Arc::new(|_: &[u8]| Ok(()));
        self.client_of(MANAGER_HOST, judge)
    }

    /// Returns a client for the peers of the cluster.
    pub(crate) fn to_peers(&self) -> anyhow::Result<reqwest::Client> {
        let ours = self.clone();
        let judge = move |der: &[u8]| ours.judge(der).map(drop).map_err(|fault| fault.to_string());
        self.client_of(PEER_HOST, Arc::new(judge))
    }

    /// Returns a client for the seeds of the cluster, whose requests may hold a caller's password.
    pub(crate) fn to_seeds(&self) -> anyhow::Result<reqwest::Client> {
        let ours = self.clone();
        let judge = move |der: &[u8]| ours.judge_seed(der).map_err(|fault| fault.to_string());
        self.client_of(PEER_HOST, Arc::new(judge))
    }

    fn client_of(&self, host: &str, judge: Judge) -> anyhow::Result<reqwest::Client> {
        Ok(mutual::client(&self.ca_pem(), &self.0.own, host, judge)?)
    }
}

/// Returns whether a peer has joined with this data folder.
pub(crate) fn is_in(folder: &Path) -> bool {
    folder.join(MEMBERSHIP).exists()
}

/// Removes a membership and its key: the next start joins again.
pub(crate) fn forget(folder: &Path) -> std::io::Result<()> {
    for name in [MEMBERSHIP, KEY] {
        match std::fs::remove_file(folder.join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn certificate_in(joined: &Joined) -> anyhow::Result<PeerCertificate> {
    let der = mutual::certificates(&joined.certificate_pem)?.swap_remove(0);
    Ok(PeerCertificate::read(&der)?)
}

pub(crate) fn fingerprint(ca_pem: &str) -> anyhow::Result<CaFingerprint> {
    Ok(CaFingerprint::of(&mutual::certificates(ca_pem)?.swap_remove(0)))
}

#[cfg(test)]
pub(crate) mod tests;
