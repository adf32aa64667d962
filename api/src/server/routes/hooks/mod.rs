//! Webhooks that others call.

pub(crate) mod harbor;
