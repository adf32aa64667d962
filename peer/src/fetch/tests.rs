mod laws;
mod no_disk;
mod parents;
mod readers;
mod registry;
mod resuming;
pub(crate) mod support;
