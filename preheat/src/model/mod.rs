//! The values of the domain: requests, states, limits, outcomes. Nothing here reads or writes.

pub(crate) mod class;
pub(crate) mod closed;
pub(crate) mod cluster_settings;
pub(crate) mod errors;
pub(crate) mod labels;
pub(crate) mod limits;
pub(crate) mod peer_choice;
pub(crate) mod request;
pub(crate) mod scope;
pub(crate) mod spot_check;
pub(crate) mod stage;
pub(crate) mod state;
pub(crate) mod text;
pub(crate) mod trace_pages;
pub(crate) mod verdict;
pub(crate) mod webhook;
