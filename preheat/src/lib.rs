//! The domain: what a preheat is, from the request to its end.
//!
//! * [`submit()`] writes a preheat and its first work in one transaction.
//! * The manager's workers ([`Preheater::start_workers`]) resolve the image at its registry and write the plan:
//!   *lots* of placements, each a work item in the lane of one peer.
//! * Peers join once ([`join()`]), register ([`hello()`]), take lots ([`take()`]), report progress ([`progress()`]) and
//!   settle each placement ([`settle()`]). The settlement that closes the last placement ends the preheat.
//! * [`cancel()`] ends an open preheat; [`retry()`] starts one again that failed or was cancelled.
//! * [`get()`], [`list()`], [`watch()`], [`objects()`] and [`harbor_rows()`] only read rows.
//!
//! **Invariant:** a preheat ends exactly once. It succeeds only if every placement of its scope was verified, except for
//! those of disconnected peers that the configuration tolerates. Each step commits together with the work that follows
//! from it, so that a manager may die at any point.
//!
//! **Floors.** A folder uses only folders below it. ARCHITECTURE.md draws them from top to bottom and says what each one
//! does; `api/tests/modules.rs` compares the drawing with the code.
//!
//! Non-goals: HTTP, signing of tokens and certificates, bytes of images.

mod ask;
mod background;
mod ending;
mod engine;
mod image;
pub mod image_rules;
mod look;
mod lots;
mod memory;
mod model;
mod peers;
mod plan;
mod resolve;
mod rows;
mod settle;
mod spot_checks;
mod take;
mod tell;
pub mod tokens;

pub use ask::cancel::cancel;
pub use ask::retry::retry;
pub use ask::submit::submit;
pub use background::workers::Background;
pub use engine::preheater::{BadKey, Parts, Preheater};
pub use image::contents::WhereError;
pub use look::cluster_list::clusters;
pub use look::explain::{
    ExplainError, ExplainedNode, ExplainedObject, ExplainedPreheat, ExplainedPull, Explanation, Finding,
    FindingKind, ObjectStanding, ReferenceMeaning, RegistryStanding, Share, explain,
};
pub use look::get::{get, objects};
pub use look::harbor_rows::harbor_rows;
pub use look::list::{ListQuery, list};
pub use look::peer_list::peers;
pub use look::views::{ClusterView, HarborRow, HarborRows, ObjectView, PeerView, PlacementView, PreheatView};
pub use look::watch::watch;
pub use look::whereabouts::{PeerShare, Whereabouts, where_is};
pub use model::cluster_settings::{ClusterLimits, ClusterSettings};
pub use model::errors::{
    CancelError, DamagedRow, HelloError, RetryError, SessionError, StorageError, SubmitError,
};
pub use model::labels::{BadLabel, Label, Labels};
pub use model::limits::Limits;
pub use model::peer_choice::{BadPeers, PeerChoice};
pub use model::request::{BadPriority, PreheatRequest, Priority, Requester};
pub use model::scope::{BadScope, ClusterChoice, Scope};
pub use model::spot_check::SpotCheckVerdict;
pub use model::state::{PlacementState, PreheatId, PreheatState};
pub use model::trace_pages::TracePages;
pub use model::webhook::{BadEvent, SendWebhook, Webhook, WebhookCall, WebhookEvent, Webhooks};
pub use peers::bandwidth::{LimitsError, LimitsInForce, cluster_limits, set_cluster_limits};
pub use peers::hello::hello;
pub use peers::holdings::{holdings, parents};
pub use peers::joining::{
    Applicant, JoinError, JoinTokenView, NewJoinToken, NotJoined, create_join_token, join, join_directly,
    join_tokens, renewed, revoke_join_token,
};
pub use peers::questions::{NoAnswer, answer, ask};
pub use peers::removals::{RemoveError, RemovedPeer, is_removed, removal_list, remove_peer};
pub use peers::sessions::is_session_of;
pub use settle::accept::settle;
pub use spot_checks::draw::Draw;
pub use take::credential::credential;
pub use take::hand_out::take;
pub use take::progress::progress;
