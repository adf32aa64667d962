//! The tokens that open the manager's door, and those that peers join with.
//!
//! **Invariant:** a token is never stored: its id, name and scopes are, so that it can be listed and revoked; of an
//! endpoint's token also its hash, by which it is known.

mod caller;
mod endpoint;
mod join;
mod lifetime;
mod peer;
mod scope;

pub use caller::{CallerClaims, CallerKey, Created, NotCreated, Token, Wish, create};
pub use endpoint::create_endpoint;
pub(crate) use endpoint::{
    LENGTH as ENDPOINT_TOKEN_LENGTH, hash as endpoint_hash, scopes as endpoint_scopes,
};
pub use join::{JoinWish, NoJoinToken, create_join_token};
pub use lifetime::{BadLifetime, Lifetime};
pub use peer::signing_key;
pub use scope::{BadScope, Scope, Scopes};

/// A key file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("{file}: {error}")]
    File { file: String, error: std::io::Error },
    #[error(
        "{file} holds no key of ours: remove it to have a new one made (tokens made with the old one die)"
    )]
    NotAKey { file: String },
    #[error(
        "{file} holds no authority of ours: put it back from a backup; without it a new one is made once the file is gone, \
         and every peer has to join anew"
    )]
    NotAnAuthority { file: String },
}
