//! Callers' tokens: made, listed, revoked. A token's text is told once, to whoever has it made.

pub(crate) mod create;
pub(crate) mod list;
pub(crate) mod revoke;
