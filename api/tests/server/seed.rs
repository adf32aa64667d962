//! A seed peer that speaks over the wire and settles without fetching anything.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use process::mutual::{self, OwnCertificate};
use std::sync::Arc;
use wire::{
    CaFingerprint, CallError, Hello, JoinRequest, JoinToken, Joined, Lot, MANAGER_HOST, ManagerClient,
    PeerCertificate, PeerIdentity, PlacementOutcome, PublicKey, Role, SecretText, SettleRequest, Settlement,
    TakeRequest, Welcome,
};

use crate::world::World;

pub(crate) struct FakeSeed {
    pub(crate) manager: ManagerClient,
    pub(crate) welcome: Welcome,
    pub(crate) name: String,
}

pub(crate) fn hello_of(name: &str) -> Hello {
    Hello {
        wire_version: wire::VERSION,
        name: name.to_owned(),
        advertise: None,
        share_port: 65002,
        software: "test".to_owned(),
        holdings_hash: wire::holdings_hash([]),
    }
}

/// A key of a peer.
#[derive(Clone)]
pub(crate) struct Key {
    pkcs8: Vec<u8>,
    pub(crate) public: PublicKey,
}

impl Key {
    pub(crate) fn new() -> Self {
        let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new());
        let pkcs8 = made.expect("a key").as_ref().to_vec();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &pkcs8).expect("a key");
        let public = PublicKey::from_point(pair.public_key().as_ref()).expect("a point");
        Self { pkcs8, public }
    }
}

/// A peer with a certificate, that has not said hello.
pub(crate) struct Member {
    pub(crate) joined: Joined,
    own: OwnCertificate,
    key: Key,
    pub(crate) http: reqwest::Client,
    pub(crate) manager: ManagerClient,
}

/// What a peer sends that joins with this token.
pub(crate) fn request(world: &World, token: &str, key: &Key) -> JoinRequest {
    use queue::Clock as _;
    JoinRequest {
        token: SecretText::new(token),
        public_key: key.public,
        name: "test".to_owned(),
        clock_unix_ms: world.clock.now_ms(),
        wire_version: wire::VERSION,
    }
}

/// Joins by a client that believes the authority which the token names.
pub(crate) async fn join(world: &World, request: &JoinRequest) -> Result<Joined, CallError> {
    let token: JoinToken = request.token.expose().parse().expect("a join token");
    let is_authority = move |der: &[u8]| CaFingerprint::of(der) == token.ca;
    let http = mutual::pinned_client(MANAGER_HOST, Arc::new(is_authority)).expect("a client");
    wire::join(&http, &world.peer_url(), request).await
}

impl Member {
    pub(crate) async fn of(world: &World, role: Role, cluster: &str) -> Self {
        let token = world.join_token(role, cluster).await;
        Self::with(world, &token, &Key::new()).await
    }

    pub(crate) async fn with(world: &World, token: &str, key: &Key) -> Self {
        let joined = join(world, &request(world, token, key)).await.expect("joined");
        Self::showing(world, joined, key)
    }

    pub(crate) fn showing(world: &World, joined: Joined, key: &Key) -> Self {
        let own = OwnCertificate::new(&joined.certificate_pem, &key.pkcs8).expect("a certificate");
        let http = mutual::client(&joined.ca_pem, &own, MANAGER_HOST, Arc::new(|_| Ok(())));
        let http = http.expect("a client");
        Self {
            joined,
            manager: ManagerClient::new(http.clone(), &world.peer_url()),
            http,
            own,
            key: key.clone(),
        }
    }

    pub(crate) fn key(&self) -> &Key {
        &self.key
    }

    /// New connections show this certificate.
    pub(crate) fn shows(&self, joined: &Joined) {
        let replaced = self.own.replace(&joined.certificate_pem, &self.key.pkcs8);
        replaced.expect("a certificate");
    }

    pub(crate) fn identity(&self) -> PeerIdentity {
        let der = mutual::certificates(&self.joined.certificate_pem)
            .expect("one")
            .remove(0);
        PeerCertificate::read(&der).expect("a peer's").identity
    }

    pub(crate) async fn hello(&self, name: &str) -> Welcome {
        self.manager.hello(&hello_of(name)).await.expect("welcome")
    }
}

impl FakeSeed {
    pub(crate) async fn join(world: &World, name: &str) -> Self {
        Self::of(Member::of(world, Role::Seed, "default").await, name).await
    }

    /// What a member does that says hello, whatever its role is.
    pub(crate) async fn of(member: Member, name: &str) -> Self {
        Self {
            welcome: member.hello(name).await,
            manager: member.manager,
            name: name.to_owned(),
        }
    }

    /// The next work, which must come.
    pub(crate) async fn take(&self) -> Vec<Lot> {
        let request = TakeRequest {
            at_most: 10,
            wait_ms: 20_000,
            neighbourhood_version: String::new(),
            working_on: Vec::new(),
            images: None,
            removals: 0,
        };
        loop {
            let answer = self
                .manager
                .take(self.welcome.session, &request)
                .await
                .expect("an answer");
            if !answer.lots.is_empty() {
                return answer.lots;
            }
        }
    }

    pub(crate) async fn settle(&self, lots: &[Lot], outcome: impl Fn(usize) -> PlacementOutcome) {
        let orders = lots
            .iter()
            .flat_map(|lot| lot.placements.iter().map(move |order| (lot, order)));
        let settled = orders.enumerate().map(|(n, (lot, order))| Settlement {
            work: lot.work,
            fence: lot.fence,
            digest: order.digest.clone(),
            outcome: outcome(n),
        });
        let request = SettleRequest {
            settled: settled.collect(),
        };
        let answer = self
            .manager
            .settle(self.welcome.session, &request)
            .await
            .expect("acknowledged");
        assert_eq!(answer.stale, Vec::<i64>::new());
    }
}

pub(crate) fn verified() -> PlacementOutcome {
    PlacementOutcome::Verified {
        bytes_from_registry: 1,
        bytes_from_peers: 0,
    }
}
