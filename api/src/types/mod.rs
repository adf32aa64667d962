//! The bodies of the native API: what the routes read and write, and what the command line writes and reads.
//!
//! **Invariant:** requests refuse unknown fields; answers are read without them, so that the command line works with a
//! newer manager.

mod clusters;
mod explain;
mod images;
mod known_fields;
mod objects;
mod peers;
mod preheats;
mod scope;
mod timestamp;
mod tokens;
mod words;

pub use clusters::{BandwidthLimits, ClusterBody, ClusterLimitsBody, Clusters};
pub use explain::{
    ExplainedObjectBody, ExplainedPreheatBody, ExplanationBody, FindingBody, NodeBody, PullBody,
    ReferenceBody, RegistryBody, ShareBody, SourceBody,
};
pub use images::{Blocks, PeerShareBody, PinImage, Pins, RemovalBody, RemoveImage, RuleBody, WhereBody};
pub use objects::{ObjectBody, Objects, PlacementBody, PlacementState};
pub use peers::{PeerBody, Peers, RemovedPeer};
pub use preheats::{
    ClusterNameOrId, CreatePreheat, PeerSelection, PlacementCounts, PreheatBody, PreheatState, Preheats,
    RegistryUser, RetryPreheat,
};
pub use scope::{BadScope, Scope, Scopes};
pub use timestamp::Timestamp;
pub use tokens::{
    CreateJoinToken, CreateToken, JoinTokenBody, JoinTokens, NewJoinToken, NewToken, TokenBody, Tokens,
};
