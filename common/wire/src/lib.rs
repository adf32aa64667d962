//! The protocol between manager and peers: serde types, the peer's client, and the few pure functions that both sides
//! must compute alike.
//!
//! Digests, references and URLs are text here and are parsed by the receiver: this crate depends on no other crate of
//! the workspace.

pub mod between_peers;
mod client;
mod embedded;
mod holdings;
mod identity;
mod images;
mod joining;
mod limits;
mod lots;
mod neighbourhood;
mod objects;
mod questions;
mod rate;
mod records;
mod removals;
mod secret;
mod seeds;
mod session;
mod signed;
mod trace;
mod tree;

pub use client::{CallError, ManagerClient, join};
pub use embedded::EmbeddedBytes;
pub use holdings::{Holding, HoldingsReport, holdings_hash};
pub use identity::{
    BadCluster, CertificateStanding, ClusterName, MANAGER_HOST, NoIdentity, PEER_HOST, PeerCertificate,
    PeerIdentity, Validity, validity_of,
};
pub use images::{
    Block, IMAGE_RULES, ImageRules, KnownImageRules, Pin, RECALLED_AT_ONCE, RULE_DIGESTS, Recall, RuledImage,
};
pub use joining::{BadJoinToken, CaFingerprint, JoinRequest, JoinToken, Joined, PublicKey};
pub use limits::{BandwidthLimits, RegistryShare};
pub use lots::{
    Lot, LotPlacement, PlacementOutcome, PlacementProgress, ProgressReport, ProgressResponse, RegistryWidth,
    SettleRequest, SettleResponse, Settlement, Side, TakeRequest, TakeResponse,
};
pub use neighbourhood::{
    Authorize, DialDescription, Neighbourhood, OfflineAccess, RegistryDescription, SeedAddress,
};
pub use objects::{ObjectKind, TagRecord};
pub use questions::{
    ObjectStatus, Pull, PullResult, PullSource, QUESTION_DIGESTS, Question, REPLY_PULLS, Reply,
    SPOT_CHECK_BYTES, SpotCheck, SpotCheckOutcome, StandingState,
};
pub use rate::{BadRate, Rate};
pub use records::{PublicObjects, PublicProof, TagMeaning};
pub use removals::{REMOVED_AT_MOST, RemovalList};
pub use secret::SecretText;
pub use seeds::seeds_in_order;
pub use session::{Hello, Role, Welcome};
pub use signed::{NotSigned, Record, Signed, SigningKey, VerifyingKey};
pub use trace::TraceContext;

/// The version of this protocol. A manager serves peers one version older and one newer.
pub const VERSION: u32 = 2;

/// The manager's paths for peers, relative to its base URL.
pub mod paths {
    /// The route of all paths.
    pub const ALL: &str = "/peer/v1/{*rest}";
    /// POST [`crate::JoinRequest`] -> [`crate::Joined`]: the only path without a client certificate.
    pub const JOIN: &str = "/peer/v1/join";
    /// POST -> [`crate::Joined`]: a new certificate for the same key.
    pub const RENEW: &str = "/peer/v1/renew";
    /// POST [`crate::Hello`] -> [`crate::Welcome`].
    pub const SESSIONS: &str = "/peer/v1/sessions";
    /// POST [`crate::TakeRequest`] -> [`crate::TakeResponse`]; waits.
    pub const WORK: &str = "/peer/v1/sessions/{session}/work";
    /// POST [`crate::ProgressReport`] -> [`crate::ProgressResponse`]; renews the lease.
    pub const PROGRESS: &str = "/peer/v1/sessions/{session}/progress";
    /// POST [`crate::SettleRequest`] -> [`crate::SettleResponse`].
    pub const SETTLE: &str = "/peer/v1/sessions/{session}/settle";
    /// POST [`crate::HoldingsReport`] -> 204.
    pub const HOLDINGS: &str = "/peer/v1/sessions/{session}/holdings";
    /// GET -> [`crate::SecretText`]: an `Authorization` header value; 404 if it no longer exists.
    pub const CREDENTIAL: &str = "/peer/v1/sessions/{session}/credentials/{credential}";
    /// POST [`crate::Reply`] -> 204: the reply to a [`crate::Question`].
    pub const ANSWERS: &str = "/peer/v1/sessions/{session}/answers/{question}";
    /// GET -> list of [`crate::SeedAddress`]: peers that hold this object whole.
    pub const PARENTS: &str = "/peer/v1/sessions/{session}/parents/{digest}";
}
