//! Preheats: submit, resolve, plan, place, settle.
//!
//! * [`submit()`] writes a preheat and its first work in one transaction.
//! * The manager's workers ([`Preheater::start_workers`]) resolve the image at its registry and write the plan:
//!   *lots* of placements, each a work item in the lane of one peer.
//! * Peers join once ([`join()`]), register ([`hello()`]), take lots ([`take()`]), report progress ([`progress()`]) and
//!   settle each placement ([`settle()`]). The settlement of the last placement ends the preheat.
//! * [`cancel()`] ends an open preheat, [`retry()`] repeats a failed or cancelled one.
//! * [`get()`], [`list()`], [`watch()`], [`objects()`] and [`harbor_rows()`] only read rows.
//!
//! **Invariant:** a preheat ends exactly once. It succeeds only if every placement of its scope was verified, except for
//! those of disconnected peers that the configuration tolerates. Each step commits together with the work that follows
//! from it, so that a manager may die at any point.
//!
//! Non-goals: HTTP, signing of tokens and certificates, bytes of images.

mod absent;
mod address;
mod bandwidth;
mod cancel;
mod choosing;
mod closed;
mod cluster_settings;
mod clusters;
mod credentials;
mod deadlines;
mod effects;
mod ending;
mod explain;
mod fault;
mod followers;
mod forget;
mod gather;
mod gauges;
mod get;
mod harbor_rows;
mod holdings;
pub mod image_rules;
mod joining;
mod ledger;
mod limits;
mod list;
mod location;
mod metrics;
mod neighbourhood;
mod orders;
mod parents;
mod peer_choice;
mod peers;
mod place;
mod placing;
mod plan;
mod preheater;
mod progress;
mod questions;
mod removals;
mod request;
mod resolve;
mod retry;
mod rows;
mod scope;
mod secret_box;
mod seen;
mod sessions;
mod settle;
mod spot_checks;
mod stage;
mod submit;
mod sums;
mod tell;
pub mod tokens;
mod trace_pages;
mod verdict;
mod views;
mod watch;
mod webhook;
mod whereabouts;
mod workers;

pub use bandwidth::{ClusterLimits, LimitsError, LimitsInForce, cluster_limits, set_cluster_limits};
pub use cancel::cancel;
pub use cluster_settings::ClusterSettings;
pub use clusters::clusters;
pub use credentials::credential;
pub use explain::{
    ExplainError, ExplainedNode, ExplainedObject, ExplainedPreheat, ExplainedPull, Explanation, Finding,
    ObjectStanding, ReferenceMeaning, RegistryStanding, Share, Verdict, explain,
};
pub use fault::{CancelError, HelloError, RetryError, SessionError, StorageError, SubmitError};
pub use get::{get, objects};
pub use harbor_rows::harbor_rows;
pub use holdings::{holdings, parents};
pub use joining::{
    Applicant, JoinError, JoinTokenView, NewJoinToken, NotJoined, create_join_token, join, join_directly,
    join_tokens, renewed, revoke_join_token,
};
pub use limits::Limits;
pub use list::{ListQuery, list};
pub use peer_choice::{BadPeers, PeerChoice};
pub use peers::peers;
pub use place::take;
pub use preheater::{BadKey, Parts, Preheater};
pub use progress::progress;
pub use questions::{NoAnswer, answer, ask};
pub use removals::{RemoveError, Removed, is_removed, removal_list, remove_peer};
pub use request::{BadPriority, Origin, PreheatRequest, Priority};
pub use retry::retry;
pub use scope::{BadScope, ClusterChoice, Scope};
pub use sessions::{hello, is_session_of};
pub use settle::settle;
pub use spot_checks::{Checked, Draw};
pub use submit::{PreheatId, submit};
pub use trace_pages::TracePages;
pub use views::{
    ClusterView, HarborRow, HarborRows, ObjectView, PeerView, PlacementState, PlacementView, PreheatState,
    PreheatView,
};
pub use watch::watch;
pub use webhook::{BadEvent, SendWebhook, Webhook, WebhookCall, WebhookEvent, Webhooks};
pub use whereabouts::{PeerShare, WhereError, Whereabouts, where_is};
pub use workers::Background;
