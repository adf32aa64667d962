//! The peer: fetches images from seeds and other peers instead of the registry, and serves them to the container
//! runtimes of its node.
//!
//! **Invariant:** an object in the store has the bytes of its digest, and unverified bytes are never served as complete.
//!
//! Non-goals: no database, no planning; the manager decides which peer holds what.

mod access;
mod admin;
mod announce;
mod arguments;
mod config;
mod delivery;
mod expiring_map;
pub mod fetch;
pub mod front;
mod identity;
mod joining;
pub mod limits;
mod membership;
mod metrics;
mod neighbours;
mod orders;
mod peer;
mod pulls;
#[cfg(test)]
mod recorder;
mod records;
pub mod relay;
pub mod share;
pub mod source;
mod spans;
pub mod store_command;

pub use arguments::{Arguments, Command, ConfigCommand, PeerArguments, PeerFlags, StoreCommand};
pub use config::{FrontLimits, PeerConfig, PeerSettings, StorePlace, UnprovenRanges};
pub use joining::{DirectJoining, Joining};
pub use limits::LimitSettings;
pub use membership::Membership;
pub use metrics::PeerMetrics;
pub use neighbours::{Neighbours, Surroundings};
pub use peer::Peer;
pub use store::StoreLimits;
