//! What makes this process a peer of one manager: its key and certificate, the manager's authority, the key that
//! verifies what the manager signs, and the list of removed peers. All of it lies in the data folder, so that a peer
//! that is restarted while the manager is down serves at once.
//!
//! **Invariants:** the private key never leaves the data folder. Another peer is believed only if our authority signed its
//! certificate, it names our cluster, it holds now, and the removal list does not name the peer.

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
    CaFingerprint, CertificateStanding as Standing, Joined, MANAGER_HOST, NoIdentity, NotSigned, PEER_HOST,
    PeerCertificate, PeerIdentity, PublicKey, Record, RemovalList, Role, Signed, VerifyingKey,
};

const KEY: &str = "membership.key";
const MEMBERSHIP: &str = "membership.json";

/// Milliseconds since 1970.
pub(crate) type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// This peer's membership. Clones share it.
#[derive(Clone)]
pub struct Membership(Arc<Inner>);

struct Inner {
    folder: PathBuf,
    key: Vec<u8>,
    own: OwnCertificate,
    identity: PeerIdentity,
    clock: Clock,
    known: RwLock<Known>,
    removals: watch::Sender<Arc<RemovalList>>,
    read: ReadCertificates,
}

/// Certificates that were read before, by their bytes: each is shown with very many requests.
#[derive(Default)]
struct ReadCertificates(Mutex<HashMap<Vec<u8>, PeerCertificate>>);

impl ReadCertificates {
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

struct Known {
    joined: Joined,
    certificate: PeerCertificate,
}

/// A certificate that is not believed here, in words for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotBelieved {
    #[error("only peers may ask here: no certificate was shown")]
    Nothing,
    #[error("this is no peer's certificate: {0}")]
    NoPeer(#[from] NoIdentity),
    #[error(
        "the certificate is of cluster {theirs}, and this peer is of cluster {ours}: only peers of one cluster share"
    )]
    OtherCluster { theirs: String, ours: String },
    #[error("peer {0} was removed by the manager")]
    Removed(Uuid),
    #[error(
        "the certificate does not hold now (it holds from {not_before} to {not_after}, and this peer's clock says {now}, \
         Unix seconds): look at both clocks; a peer renews its certificate when it reaches the manager"
    )]
    Dates {
        not_before: i64,
        not_after: i64,
        now: i64,
    },
    #[error("the certificate is of a node, and only a seed may be asked this")]
    NoSeed,
}

/// The key of this peer; made when there is none yet.
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
                "{} holds no key of ours: remove it and {MEMBERSHIP} beside it, and join anew",
                path.display()
            )
        })?;
        Ok(Self { pkcs8, public })
    }
}

impl Membership {
    /// What lies in the data folder; none before the first join.
    pub(crate) fn open(folder: &Path, clock: Clock) -> anyhow::Result<Option<Self>> {
        let path = folder.join(MEMBERSHIP);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        };
        let joined: Joined = serde_json::from_slice(&text).with_context(|| {
            format!(
                "{} cannot be read: remove it and {KEY} beside it, and join anew",
                path.display()
            )
        })?;
        Self::of(folder, OwnKey::at(folder)?, joined, clock).map(Some)
    }

    /// Stores what the manager has given for our key.
    pub(crate) fn begin(folder: &Path, joined: Joined, clock: Clock) -> anyhow::Result<Self> {
        let membership = Self::of(folder, OwnKey::at(folder)?, joined, clock)?;
        membership.store()?;
        Ok(membership)
    }

    fn of(folder: &Path, key: OwnKey, joined: Joined, clock: Clock) -> anyhow::Result<Self> {
        let certificate = certificate_in(&joined)?;
        ensure!(
            certificate.public_key == key.public,
            "the certificate in {MEMBERSHIP} is not for the key in {KEY} ({}): remove both, and join anew",
            folder.display()
        );
        let now = clock() / 1_000;
        let validity = certificate.validity;
        match validity.standing(now) {
            Standing::Valid | Standing::Renewable => {}
            Standing::NotYet => bail!(
                "this machine's clock says {now}, and this peer's certificate holds from {} on (Unix seconds): set the \
                 clock",
                validity.not_before
            ),
            Standing::Over => bail!(
                "this peer's certificate expired at {} and this machine's clock says {now} (Unix seconds), too late to \
                 renew it: look at the clock, or remove {MEMBERSHIP} and {KEY} in {} and join anew",
                validity.not_after,
                folder.display()
            ),
        }
        let removals = joined
            .removals
            .verify(&joined.signing_key)
            .context("the list of removed peers")?;
        let inner = Inner {
            folder: folder.to_owned(),
            own: OwnCertificate::new(&joined.certificate_pem, &key.pkcs8)?,
            key: key.pkcs8,
            identity: certificate.identity.clone(),
            clock,
            known: RwLock::new(Known { joined, certificate }),
            removals: watch::Sender::new(Arc::new(removals)),
            read: ReadCertificates::default(),
        };
        Ok(Self(Arc::new(inner)))
    }

    pub fn identity(&self) -> &PeerIdentity {
        &self.0.identity
    }

    /// Whose authority has signed.
    pub(crate) fn authority(&self) -> anyhow::Result<CaFingerprint> {
        fingerprint(&self.ca_pem())
    }

    fn ca_pem(&self) -> String {
        self.read(|known| known.joined.ca_pem.clone())
    }

    fn read<T>(&self, look: impl FnOnce(&Known) -> T) -> T {
        look(&self.0.known.read())
    }

    fn now_unix(&self) -> i64 {
        (self.0.clock)() / 1_000
    }

    /// Who shows this certificate, if we believe it. That our authority signed it was verified by TLS.
    pub(crate) fn judge(&self, der: &[u8]) -> Result<PeerIdentity, NotBelieved> {
        let PeerCertificate {
            identity, validity, ..
        } = self.0.read.read(der)?;
        if self.0.removals.borrow().names(identity.peer) {
            return Err(NotBelieved::Removed(identity.peer));
        }
        let ours = &self.0.identity.cluster;
        if identity.cluster != *ours {
            return Err(NotBelieved::OtherCluster {
                theirs: identity.cluster.to_string(),
                ours: ours.to_string(),
            });
        }
        let now = self.now_unix();
        if validity.standing(now) != Standing::Valid {
            return Err(NotBelieved::Dates {
                not_before: validity.not_before,
                not_after: validity.not_after,
                now,
            });
        }
        Ok(identity)
    }

    fn judge_seed(&self, der: &[u8]) -> Result<(), NotBelieved> {
        match self.judge(der)?.role {
            Role::Seed => Ok(()),
            Role::Node => Err(NotBelieved::NoSeed),
        }
    }

    /// Ends when the manager removes the peer.
    pub(crate) fn removal_of(&self, peer: Uuid) -> impl Future<Output = ()> + Send + 'static {
        let mut removals = self.0.removals.subscribe();
        async move {
            if removals.wait_for(|list| list.names(peer)).await.is_err() {
                // The process ends.
                std::future::pending::<()>().await;
            }
        }
    }

    /// The number of the removal list that we have.
    pub(crate) fn removals_known(&self) -> i64 {
        self.0.removals.borrow().number
    }

    /// Verifies what the manager signs.
    pub(crate) fn signing_key(&self) -> VerifyingKey {
        self.read(|known| known.joined.signing_key)
    }

    /// What the manager has signed, whoever carried it.
    pub(crate) fn verify<T: Record>(&self, signed: &Signed<T>) -> Result<T, NotSigned> {
        signed.verify(&self.signing_key())
    }

    /// Takes over a newer list; one that the manager did not sign is none.
    pub(crate) fn learn_removals(&self, signed: Signed<RemovalList>) {
        let Ok(list) = self.verify(&signed) else {
            warn!(
                stoker.side = "manager",
                "a list of removed peers does not bear the manager's signature"
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

    /// Takes over a renewed certificate.
    pub(crate) fn renew(&self, joined: Joined) -> anyhow::Result<()> {
        let certificate = certificate_in(&joined)?;
        let ours = self.read(|known| known.certificate.public_key);
        ensure!(
            certificate.identity == self.0.identity && certificate.public_key == ours,
            "the manager renewed another certificate than ours"
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

    /// Whether the certificate is a day old.
    pub(crate) fn is_due(&self) -> bool {
        let now = self.now_unix();
        self.read(|known| known.certificate.validity.is_due(now))
    }

    fn change(&self, change: impl FnOnce(&mut Known)) {
        change(&mut self.0.known.write());
        if let Err(error) = self.store() {
            warn!(stoker.side = "peer", %error, "what the manager said is not kept over a restart");
        }
    }

    fn store(&self) -> anyhow::Result<()> {
        let text = self.read(|known| serde_json::to_vec_pretty(&known.joined))?;
        let path = self.0.folder.join(MEMBERSHIP);
        write_private(&path, &text).with_context(|| path.display().to_string())
    }

    /// Accepts connections of peers.
    pub(crate) fn acceptor(&self) -> anyhow::Result<MutualAcceptor> {
        Ok(MutualAcceptor::new(
            &self.ca_pem(),
            &self.0.own,
            Callers::MustShow,
        )?)
    }

    /// Calls the manager.
    pub(crate) fn to_manager(&self) -> anyhow::Result<reqwest::Client> {
        let judge = Arc::new(|_: &[u8]| Ok(()));
        self.client_of(MANAGER_HOST, judge)
    }

    /// Calls other peers of the cluster.
    pub(crate) fn to_peers(&self) -> anyhow::Result<reqwest::Client> {
        let ours = self.clone();
        let judge = move |der: &[u8]| ours.judge(der).map(drop).map_err(|fault| fault.to_string());
        self.client_of(PEER_HOST, Arc::new(judge))
    }

    /// Calls seeds of the cluster: what is sent to them may hold a caller's password.
    pub(crate) fn to_seeds(&self) -> anyhow::Result<reqwest::Client> {
        let ours = self.clone();
        let judge = move |der: &[u8]| ours.judge_seed(der).map_err(|fault| fault.to_string());
        self.client_of(PEER_HOST, Arc::new(judge))
    }

    fn client_of(&self, host: &str, judge: Judge) -> anyhow::Result<reqwest::Client> {
        Ok(mutual::client(&self.ca_pem(), &self.0.own, host, judge)?)
    }
}

/// Whether a peer has joined with this data folder.
pub(crate) fn is_in(folder: &Path) -> bool {
    folder.join(MEMBERSHIP).exists()
}

/// Forgets a membership and its key: the next start joins anew.
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
