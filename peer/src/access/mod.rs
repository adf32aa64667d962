//! Decides which caller may read what. Asks registries with the callers' own credentials, and keeps their answers.
//!
//! The entry points: [`Access::caller`] reads a caller from a request, [`Access::may_read`] and [`Access::meaning`]
//! decide, [`Access::learn`] and [`Access::grant`] keep a registry's answer, [`Access::refusal`] makes the response to a
//! refused caller, [`Access::token`] relays a sign-in.
//!
//! **Invariant:** a grant is for one caller, one location and one digest, and comes from the registry.
//!
//! This module moves no bytes: `front` and `relay` do, once access has granted.

mod accounts;
mod allowed;
mod answer;
mod authorize;
mod bars;
mod caller;
mod caller_key;
mod challenge_relay;
mod decision;
mod failure;
mod grants;
mod issuer;
mod listings;
mod notes;
mod permission;
mod questions;
mod reach;
mod refusal;
mod registry_lists;
mod registry_prefix;
mod registry_refusals;
mod response;
mod running_questions;
mod scoped_tokens;
mod sealed_credentials;
mod seeds;
mod state;
mod tag_questions;
mod tags;
mod token_clients;
mod token_relay;
mod token_request;
mod token_scopes;

pub(crate) use allowed::{NAMESPACE_HEADER, is_named, used_namespace};
pub(crate) use answer::{Grant, ObjectInfo};
pub(crate) use authorize::GrantedManifest;
pub(crate) use caller::Caller;
pub(crate) use caller_key::has_authorization;
pub(crate) use challenge_relay::{TOKEN_PATH, own_challenge};
pub(crate) use refusal::Refusal;
pub(crate) use registry_lists::ListAnswer;
pub(crate) use registry_prefix::registry_prefix;
pub(crate) use response::{error_response, json_response};
pub(crate) use state::Access;
