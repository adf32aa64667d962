//! The provider APIs that Harbor calls, all on one listener: 2.12 and newer ([`dragonfly_jobs`]), 2.1 to 2.11
//! ([`dragonfly_preheats`]). Their paths do not overlap.
//!
//! **Invariant:** Harbor's client is strict about types and words: ids are integers in one dialect and texts in the
//! other, states are words that it knows, times are RFC 3339. It ignores other fields of a response.

pub(crate) mod dragonfly_jobs;
pub(crate) mod dragonfly_preheats;
pub(crate) mod kraken;
mod registry_token;
pub(crate) mod words;
