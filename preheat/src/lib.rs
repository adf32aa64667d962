//! The domain: submit, resolve, plan, place, settle.
//!
//! * [`submit()`] writes a preheat and its first work in one transaction.
//! * The manager's workers ([`Preheater::start_workers`]) resolve the image at its registry and write the plan:
//!   *lots* of placements, each a piece of queue work in the lane of one peer.
//! * Peers join once ([`join()`]), call in ([`hello()`]), ask for lots ([`take()`]), say how far they are ([`progress()`]) and what became of each
//!   placement ([`settle()`]). The settle that closes the last placement ends the preheat.
//! * [`cancel()`] ends an open one, [`retry()`] tries one again that failed or was cancelled.
//! * [`get()`], [`list()`], [`watch()`], [`objects()`] and [`harbor_rows()`] read rows and ask nobody.
//!
//! **Invariant:** a preheat ends exactly once, and it succeeds only if every placement of its scope was verified,
//! but for those of peers that left where the configuration tolerates that.
//! Each step commits together with the work that follows from it, so that a manager may die anywhere.
//!
//! Non-goals: HTTP, signing of tokens and certificates, bytes of images.

mod absent;
mod address;
mod adopted;
mod bandwidth;
mod cancel;
mod checked;
mod choosing;
mod class;
mod clear;
mod closed;
mod cluster_list;
mod cluster_settings;
mod cluster_wishes;
mod clusters;
mod commit;
mod contents;
mod counting;
mod counts;
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
mod hello;
mod holdings;
pub mod image_rules;
mod joining;
mod ledger;
mod limits;
mod list;
mod live_clusters;
mod location;
mod memory;
mod metrics;
mod moving;
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
mod seed_credential;
mod seeds;
mod seen;
mod sessions;
mod settle;
mod spot_checks;
mod stage;
mod state;
mod submission;
mod submit;
mod tell;
mod text;
pub mod tokens;
mod trace_pages;
mod verdict;
mod views;
mod watch;
mod webhook;
mod whereabouts;
mod work;
mod workers;

pub use bandwidth::{LimitsError, LimitsInForce, cluster_limits, set_cluster_limits};
pub use cancel::cancel;
pub use checked::Checked;
pub use cluster_list::clusters;
pub use cluster_settings::{ClusterLimits, ClusterSettings};
pub use contents::WhereError;
pub use explain::{
    ExplainError, ExplainedNode, ExplainedObject, ExplainedPreheat, ExplainedPull, Explanation, Finding,
    ObjectStanding, ReferenceMeaning, RegistryStanding, Share, Verdict, explain,
};
pub use fault::{CancelError, HelloError, RetryError, SessionError, StorageError, SubmitError};
pub use get::{get, objects};
pub use harbor_rows::harbor_rows;
pub use hello::hello;
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
pub use seed_credential::credential;
pub use sessions::is_session_of;
pub use settle::settle;
pub use spot_checks::Draw;
pub use state::{PlacementState, PreheatId, PreheatState};
pub use submit::submit;
pub use trace_pages::TracePages;
pub use views::{ClusterView, HarborRow, HarborRows, ObjectView, PeerView, PlacementView, PreheatView};
pub use watch::watch;
pub use webhook::{BadEvent, SendWebhook, Webhook, WebhookCall, WebhookEvent, Webhooks};
pub use whereabouts::{PeerShare, Whereabouts, where_is};
pub use workers::Background;
