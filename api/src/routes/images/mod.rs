//! Images, whoever asked for them.

pub(crate) mod whereabouts;
