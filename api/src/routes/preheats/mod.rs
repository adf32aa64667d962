//! The native API for preheats.

pub(crate) mod create;
pub(crate) mod get;
pub(crate) mod list;
pub(crate) mod objects;
pub(crate) mod view;
