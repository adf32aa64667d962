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
mod clients;
mod config;
mod delivery;
mod dial_section;
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
mod registry_section;
pub mod relay;
pub mod share;
pub mod source;
mod spans;
pub mod store_command;
mod store_section;

pub use arguments::{Arguments, Command, StoreCommand};
pub use clients::{client_factory, client_options, guarded_registries};
pub use config::{FrontLimits, PeerConfig, StorePlace, UnprovenRanges};
pub use joining::{DirectJoining, Joining};
pub use limits::LimitSettings;
pub use membership::Membership;
pub use metrics::PeerMetrics;
pub use neighbours::{Neighbours, OwnRegistry, Surroundings};
pub use peer::Peer;
pub use registry_section::RegistrySection;
pub use store::StoreLimits;
pub use store_section::StoreSection;
