//! Extractors of handlers: the caller, the body, names in the path, the query.
//!
//! **Invariant:** every error of a request becomes a [`crate::server::problem::Problem`]. The texts never repeat
//! values of a body, because one may be a password in the wrong field.

mod authorization;
mod body;
mod caller;
mod path;
mod peer;

pub(crate) use body::{Body, BodyIfAny, from_json, from_part, json_bytes};
pub(crate) use caller::{Allowed, Poller, Presented, ToAdminister, ToPreheat, ToRead, shows_token};
pub(crate) use path::{LabelledQuery, Parts, QueryParams};
pub(crate) use peer::{of_own_session, only_peers, only_renewable};
