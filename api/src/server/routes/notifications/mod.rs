//! `/registry/notifications`: Harbor's provider "Kraken" and registries' own notifications meet on one path; their
//! envelopes differ in the spelling of one key.

pub(crate) mod create;
mod distribution;
mod kraken;
mod push_report;

pub(super) use distribution::receive as receive_events;
pub(super) use push_report::{PassedOverPush, PushReport};
