//! Join tokens: create, list, revoke. Only the response to the creation holds a token's text.

pub(crate) mod create;
pub(crate) mod list;
pub(crate) mod revoke;
