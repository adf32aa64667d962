//! The native API for preheats.

pub(crate) mod cancel;
pub(crate) mod choice;
pub(crate) mod create;
pub(crate) mod events;
pub(crate) mod get;
pub(crate) mod list;
pub(crate) mod objects;
mod owner;
pub(crate) mod retry;
