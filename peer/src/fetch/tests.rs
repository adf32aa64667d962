#![expect(
    clippy::cast_possible_truncation,
    reason = "tests run where a usize has 64 bits"
)]

mod crowds;
mod fault_mixes;
mod laws;
mod no_disk;
mod parents;
mod readers;
mod registry;
mod renewing;
mod resuming;
mod storing;
pub(crate) mod support;
mod traces;
