//! What handlers take from a request: the caller, the body, names in the path, the query.
//!
//! **Invariant:** whatever is wrong with a request ends as a [`crate::server::problem::Problem`]; the texts never repeat
//! values of a body, for one of them may be a password in the wrong place.

mod authorization;
mod body;
mod caller;
mod path;
mod peer;

pub(crate) use body::{Body, BodyIfAny};
pub(crate) use caller::{Allowed, Poller, Presented, ToAdminister, ToPreheat, ToRead};
pub(crate) use path::{LabelledQuestion, Parts, Question};
pub(crate) use peer::{of_own_session, only_peers, only_renewable};
