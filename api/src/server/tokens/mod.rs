//! Tokens of callers, and tokens that peers join with.
//!
//! **Invariant:** a token is never stored. Its id, name and scopes are, so that it can be listed and revoked; for an
//! endpoint's token also its hash.

mod caller;
mod endpoint;
mod join;
mod key_error;
mod lifetime;
mod peer;

pub use crate::types::{BadScope, Scope, Scopes};
pub use caller::{CallerClaims, CallerKey, Created, NotCreated, Token, TokenWish, create};
pub use endpoint::create_endpoint;
pub(crate) use endpoint::{
    LENGTH as ENDPOINT_TOKEN_LENGTH, hash as endpoint_hash, scopes as endpoint_scopes,
};
pub use join::{JoinWish, NoJoinToken, create_join_token};
pub use key_error::KeyError;
pub use lifetime::{BadLifetime, Lifetime};
pub use peer::signing_key;
